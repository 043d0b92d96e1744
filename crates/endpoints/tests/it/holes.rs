//! What MLCommons' checker lets through: each is found by default, and by nothing with `--official-only`.

use ossmark_endpoints::Severity;
use serde_json::{Value, json};

use crate::common::Tree;

const MODEL: &str = "sub-0001/results/made_up_8x/gpt-oss-120b";

fn set(file: &str, pointer: &str, value: Value) -> Value {
    json!({"op": "json_set", "file": format!("{MODEL}/{file}"), "ptr": pointer, "value": value})
}

fn sub(file: &str, old: &str, new: &str) -> Value {
    json!({"op": "sub", "file": format!("{MODEL}/{file}"), "old": old, "new": new})
}

/// Rules of errors and warnings.
fn rules(tree: &Tree, official_only: bool) -> Vec<&'static str> {
    let report = tree.check(official_only);
    let against = report
        .findings
        .iter()
        .filter(|f| f.severity != Severity::Info);
    let mut rules: Vec<_> = against.map(|f| f.rule).collect();
    rules.dedup();
    rules
}

#[test]
fn the_base_tree_has_no_hole() {
    assert_eq!(rules(&Tree::base(), false), Vec::<&str>::new());
}

#[test]
fn each_hole_is_found_and_only_by_default() {
    let score = |value: Value| {
        set(
            "r1/accuracy_results.json",
            "/accuracy_scores/0/score",
            value,
        )
    };
    for (rule, change) in [
        (
            "point-c-max-differs",
            sub(
                "r8/point.yaml",
                "max_supported_concurrency: 64",
                "max_supported_concurrency: 65",
            ),
        ),
        (
            "point-division-differs",
            sub("r8/point.yaml", "division: Standardized", "division: RDI"),
        ),
        (
            "steady-state-verdict",
            sub("r8/point.yaml", "verdict: STEADY STATE", "verdict: anomaly"),
        ),
        (
            "steady-state-verdict",
            sub(
                "r8/point.yaml",
                "verdict: STEADY STATE",
                "verdict: not found",
            ),
        ),
        (
            "steady-state-window",
            sub("r8/point.yaml", "n_samples: 31980", "n_samples: 31979"),
        ),
        (
            "point-run-not-complete",
            set("r8/result_summary.json", "/complete", json!(false)),
        ),
        (
            "point-run-not-complete",
            set("r8/result_summary.json", "/state", json!("interrupted")),
        ),
        (
            "point-negative-time",
            set("r8/result_summary.json", "/tpot/min", json!(-25000.0)),
        ),
        (
            "accuracy-not-complete",
            set(
                "r1/accuracy_results.json",
                "/accuracy_scores/1/complete",
                json!(false),
            ),
        ),
        ("accuracy-not-gated", score(json!({"exact": 0.9}))),
        ("accuracy-not-gated", score(json!({"exact_match": "81%"}))),
    ] {
        let tree = Tree::base();
        tree.apply(&change);
        assert_eq!(rules(&tree, true), Vec::<&str>::new(), "{rule}");
        assert_eq!(rules(&tree, false), [rule], "{change}");
    }
}

#[test]
fn passes_failures_and_concurrency_are_recomputed() {
    let summary = "r8/result_summary.json";
    let tree = Tree::base();
    for name in ["/n_samples_issued", "/n_samples_completed"] {
        tree.apply(&set(summary, name, json!(38_375)));
    }
    assert_eq!(rules(&tree, true), Vec::<&str>::new());
    assert_eq!(rules(&tree, false), ["point-passes-not-whole"]);

    let tree = Tree::base();
    tree.apply(&set(summary, "/n_samples_failed", json!(1)));
    assert!(rules(&tree, false).contains(&"point-failed-requests"));

    for (total, is_held) in [(0.4, false), (1.2, false), (0.9, true)] {
        let tree = Tree::base();
        let file = tree.dir.path().join(MODEL).join(summary);
        let found: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let duration = found["duration_ns"].as_f64().unwrap();
        tree.apply(&set(
            summary,
            "/latency/total",
            json!(8.0 * duration * total),
        ));
        let found = rules(&tree, false).contains(&"point-concurrency-not-held");
        assert_eq!(found, !is_held, "{total}");
    }
}

#[test]
fn a_curve_has_one_cohort_and_documents() {
    let tree = Tree::base();
    tree.apply(&sub(
        "r8/point.yaml",
        "target_cohort: 2026-10-C1",
        "target_cohort: 2026-11-C0",
    ));
    assert_eq!(rules(&tree, true), Vec::<&str>::new());
    assert_eq!(rules(&tree, false), ["curve-cohorts-differ"]);
    let tree = Tree::base();
    tree.apply(&json!({"op": "rm", "path": "sub-0001/docs/software_disclosure.md"}));
    assert_eq!(rules(&tree, true), Vec::<&str>::new());
    assert_eq!(rules(&tree, false), ["docs-empty"]);
}
