//! What each finding weighs: what accepted results of v6.0 show is no error, what cannot be believed is one.

use std::fs;

use ossmark_submission::Severity;
use serde_json::{Value, json};

use crate::common::{BENCHMARK, SUBMITTER, Tree, is_valid};

const PERFORMANCE: &str = "performance/run_1/mlperf_log_detail.txt";

fn at(scenario: &str, file: &str) -> String {
    format!("{BENCHMARK}/{scenario}/{file}")
}

/// A tree in which something is to be asked: valid, and not good with `--strict`.
#[track_caller]
fn asked(tamper: impl FnOnce(&Tree)) {
    let tree = Tree::clean();
    tamper(&tree);
    let report = tree.check(false);
    assert!(is_valid(&report), "{:#?}", report.findings);
    assert!(report.count(Severity::Question) > 0);
    assert!(report.results.iter().all(|result| result.valid));
}

fn set(tree: &Tree, file: &str, key: &str, value: Value) {
    tree.log(&at("Offline", file), key, Some(&value));
}

#[test]
fn a_clean_tree_raises_nothing_to_ask() {
    let report = Tree::clean().check(false);
    assert_eq!(report.count(Severity::Error), 0);
    assert_eq!(report.count(Severity::Question), 0);
}

#[test]
fn a_user_conf_that_was_edited_after_the_run() {
    for line in [
        "gpt-oss-120b.Offline.min_query_count = 100",
        "gpt-oss-120b.Offline.performance_sample_count_override = 4395",
        "gpt-oss-120b.Offline.min_duration = 1",
    ] {
        asked(|tree| {
            let file = at("Offline", "user.conf");
            tree.write(&file, &format!("{}\n{line}\n", tree.read(&file)));
        });
    }
    asked(|tree| {
        tree.edit(&json!({"op": "replace", "path": at("Interactive", "user.conf"), "old": "target_qps = 11", "new": "target_qps = 12"}));
    });
}

#[test]
fn tests_over_other_counts_with_repeats_and_with_loadgens_own_error() {
    let test07 = format!("TEST07/{PERFORMANCE}");
    for (key, value) in [
        ("qsl_reported_total_count", json!(4395)),
        ("effective_performance_sample_count", json!(6396)),
        ("generated_samples_per_query", json!(6396)),
        ("effective_performance_issue_unique", json!(false)),
    ] {
        asked(|tree| set(tree, &test07, key, value));
    }
    asked(|tree| {
        let file = at("Server", &test07);
        let log = tree.read(&file);
        // As LoadGen writes it: by the same process, before the last lines.
        let (before, last) = log.trim_end().rsplit_once('\n').unwrap();
        let mut entry: Value =
            serde_json::from_str(last.strip_prefix(":::MLLOG").unwrap()).unwrap();
        entry["key"] = json!("error_runtime");
        entry["value"] =
            json!("IssueQueryThread 0 Ending early: Max query count reached. query_count 990");
        entry["metadata"]["is_error"] = json!(true);
        tree.write(&file, &format!("{before}\n:::MLLOG {entry}\n{last}\n"));
    });
}

#[test]
fn what_is_missing_beside_a_texts_verdict_and_other_documents() {
    asked(|tree| fs::remove_dir_all(tree.path(&at("Server", "TEST07/performance"))).unwrap());
    asked(|tree| fs::remove_dir_all(tree.path(&at("Server", "TEST09/accuracy"))).unwrap());
    asked(|tree| {
        fs::remove_dir_all(tree.path(&format!("{SUBMITTER}/documentation"))).unwrap();
    });
    for run in ["performance/run_1", "accuracy"] {
        asked(|tree| {
            fs::remove_file(tree.path(&at("Server", &format!("{run}/mlperf_log_summary.txt"))))
                .unwrap();
        });
    }
}

/// LoadGen's verdict, its limits and counts, and logs of different runs make a result that cannot be believed.
#[test]
fn what_cannot_be_believed_is_an_error() {
    for (key, value) in [
        ("result_validity", json!("INVALID")),
        ("effective_performance_issue_same", json!(true)),
        ("generated_samples_per_query", json!(6397)),
        ("effective_test_mode", json!("AccuracyOnly")),
        ("result_tokens_per_second", json!(1.5)),
    ] {
        let tree = Tree::clean();
        set(&tree, PERFORMANCE, key, value);
        assert!(!is_valid(&tree.check(false)), "{key}");
        assert!(is_valid(&tree.check(true)), "{key}: not official");
    }
}
