//! What the official checker lets through: each tampering is built and must be found by its rule,
//! and the official verdict must still be that all is well.

use std::fs;

use ossmark_submission::Severity;
use serde_json::{Value, json};

use crate::common::{BENCHMARK, SUBMITTER, Tree, copy, is_valid, rules};

const PERFORMANCE: &str = "performance/run_1/mlperf_log_detail.txt";

fn at(scenario: &str, file: &str) -> String {
    format!("{BENCHMARK}/{scenario}/{file}")
}

/// Rules whose tampered trees fail with `--strict` only, because a submitter can answer them. All others fail by default.
const QUESTIONS: [&str; 12] = [
    "performance.summary",
    "tree.file-too-large",
    "compliance.logs-missing",
    "compliance.sample-count",
    "compliance.settings",
    "documentation.missing",
    "accuracy.hash-truncated",
    "performance.tokens-per-sample",
    "user-conf.differs",
    "performance.audit-config",
    "log.seeds",
    "measurements.retraining",
];
/// Warnings from the beginning, which fail nothing.
const NOTES: [&str; 2] = ["tree.unexpected-file", "loadgen.revision"];

/// Tampers a clean tree; the rule must find it, where the official rules find nothing.
#[track_caller]
fn caught(rule: &str, tamper: impl FnOnce(&Tree)) {
    let tree = Tree::clean();
    tamper(&tree);
    let official = tree.check(true);
    assert!(
        is_valid(&official),
        "the official checker lets it pass: {:#?}",
        official.findings
    );
    let report = tree.check(false);
    let found = report.findings.iter().find(|f| f.rule == rule);
    assert!(
        found.is_some_and(|f| !f.official && !f.fix.is_empty() && !f.source.is_empty()),
        "{rule} not in {:?}",
        rules(&report)
    );
    let expected = match rule {
        rule if QUESTIONS.contains(&rule) => Severity::Question,
        rule if NOTES.contains(&rule) => Severity::Note,
        _ => Severity::Error,
    };
    assert_eq!(found.unwrap().severity, expected, "{rule}");
    if expected == Severity::Error {
        assert!(!is_valid(&report), "{rule}");
    }
}

fn set(tree: &Tree, scenario: &str, file: &str, key: &str, value: Value) {
    tree.log(&at(scenario, file), key, Some(&value));
}

#[test]
fn a_result_that_is_invalid() {
    caught("performance.result-invalid", |tree| {
        set(
            tree,
            "Offline",
            PERFORMANCE,
            "result_validity",
            json!("INVALID"),
        )
    });
}

#[test]
fn b_loadgen_errors() {
    caught("performance.loadgen-errors", |tree| {
        tree.edit(
            &json!({"op": "mllog_add", "path": at("Server", PERFORMANCE), "key": "error_runtime",
            "value": "Attempted to complete a sample twice.", "is_error": true}),
        );
    });
}

#[test]
fn c_interactive_with_the_servers_run() {
    let replace = |tree: &Tree| {
        fs::remove_dir_all(tree.path(&at("Interactive", "performance"))).unwrap();
        copy(
            &tree.path(&at("Server", "performance")),
            &tree.path(&at("Interactive", "performance")),
        );
        // The base tree's Server run is faster than it need be.
        for scenario in ["Server", "Interactive"] {
            set(
                tree,
                scenario,
                PERFORMANCE,
                "result_time_per_output_token_99.00_percentile_ns",
                json!(52_700_000),
            );
        }
    };
    caught("performance.interactive-limits", replace);
    caught("performance.same-log", replace);
    caught("performance.relaxed-limit", replace);
}

#[test]
fn f_no_summary_and_junk() {
    caught("performance.summary", |tree| {
        fs::remove_file(tree.path(&at("Offline", "performance/run_1/mlperf_log_summary.txt")))
            .unwrap()
    });
    let junk = |tree: &Tree| {
        let file = fs::File::create(tree.path(&at("Offline", "junk.bin"))).unwrap();
        file.set_len(100 << 20).unwrap();
    };
    caught("tree.file-too-large", junk);
    caught("tree.unexpected-file", junk);
}

#[test]
fn g_compliance_tests_without_substance() {
    let bare = |tree: &Tree| {
        for (test, file, text) in [
            (
                "TEST09",
                "verify_output_len.txt",
                "Mean output tokens: 100\nTEST PASS\n",
            ),
            ("TEST07", "verify_accuracy.txt", "TEST PASS\n"),
        ] {
            fs::remove_dir_all(tree.path(&at("Server", test))).unwrap();
            tree.write(&at("Server", &format!("{test}/{file}")), text);
        }
    };
    caught("compliance.text", bare);
    caught("compliance.logs-missing", bare);
    caught("compliance.text", |tree| {
        tree.edit(&json!({"op": "replace", "path": at("Offline", "TEST07/verify_accuracy.txt"), "old": "Accuracy threshold: 60.698", "new": "Accuracy threshold: 10.0"}));
    });
    caught("compliance.sample-count", |tree| {
        set(
            tree,
            "Offline",
            &format!("TEST07/{PERFORMANCE}"),
            "generated_samples_per_query",
            json!(989),
        )
    });
    caught("compliance.sample-count", |tree| {
        set(
            tree,
            "Server",
            &format!("TEST09/{PERFORMANCE}"),
            "generated_query_count",
            json!(990),
        )
    });
    caught("compliance.settings", |tree| {
        set(
            tree,
            "Server",
            &format!("TEST09/{PERFORMANCE}"),
            "effective_performance_issue_unique",
            json!(false),
        )
    });
    caught("compliance.settings", |tree| {
        tree.log(
            &at("Server", &format!("TEST09/{PERFORMANCE}")),
            "warning_generic_message",
            None,
        )
    });
}

#[test]
fn h_no_documentation() {
    caught("documentation.missing", |tree| {
        fs::remove_dir_all(tree.path(&format!("{SUBMITTER}/documentation"))).unwrap()
    });
}

#[test]
fn i_a_relaxed_limit() {
    caught("performance.relaxed-limit", |tree| {
        set(
            tree,
            "Server",
            PERFORMANCE,
            "requested_server_ttft_latency",
            json!(60_000_000_000_u64),
        )
    });
}

#[test]
fn j_equal_issue_off() {
    caught("performance.equal-issue", |tree| {
        set(
            tree,
            "Offline",
            PERFORMANCE,
            "effective_sample_concatenate_permutation",
            json!(false),
        )
    });
}

#[test]
fn l_a_hash_that_is_none() {
    let with = |hash: &str| {
        let hash = hash.to_owned();
        move |tree: &Tree| {
            let file = at("Offline", "accuracy/accuracy.txt");
            let text: String = tree
                .read(&file)
                .lines()
                .filter(|l| !l.starts_with("hash="))
                .map(|l| format!("{l}\n"))
                .collect();
            tree.write(&file, &format!("{text}hash={hash}\n"));
        }
    };
    caught("accuracy.hash", with("abc"));
    caught("accuracy.hash", with(&"0".repeat(64)));
    // Another run's hash.
    let other = Tree::base().read(&at("Server", "accuracy/accuracy.txt"));
    caught(
        "accuracy.hash",
        with(other.lines().find_map(|l| l.strip_prefix("hash=")).unwrap()),
    );
    // The hash of the truncated file, as the official tool writes when it is run twice.
    let tree = Tree::base();
    let bytes = fs::read(tree.path(&at("Offline", "accuracy/mlperf_log_accuracy.json"))).unwrap();
    let digest: String = <sha2::Sha256 as sha2::Digest>::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    caught("accuracy.hash-truncated", with(&digest));
}

#[test]
fn n_nothing_at_all() {
    let tree = Tree::clean();
    let options = ossmark_submission::check::Options {
        input: tree.dir.path(),
        round: "v6.1",
        submitter: Some("OracleLap"),
        official_only: false,
    };
    let report = ossmark_submission::check::check(options).unwrap();
    assert_eq!(rules(&report), ["results.zero"]);
    assert!(!is_valid(&report) && !report.findings[0].official);
    fs::remove_dir_all(tree.path("closed")).unwrap();
    assert_eq!(rules(&tree.check(false)), ["results.zero"]);
    assert!(
        is_valid(&tree.check(true)),
        "the official checker says that an empty tree looks OK"
    );
}

#[test]
fn anomalies_of_published_results() {
    // GB300: TEST07 over 6396 samples; four results: TEST07 over the accuracy set.
    caught("compliance.sample-count", |tree| {
        set(
            tree,
            "Offline",
            &format!("TEST07/{PERFORMANCE}"),
            "qsl_reported_total_count",
            json!(4395),
        )
    });
    // GB200 Interactive: 1,656,000 queries are no whole permutations.
    caught("performance.permutations", |tree| {
        for key in ["generated_query_count", "result_query_count"] {
            set(tree, "Interactive", PERFORMANCE, key, json!(1_656_000));
        }
    });
    caught("loadgen.revision", |tree| {
        set(
            tree,
            "Server",
            PERFORMANCE,
            "loadgen_version",
            json!("6.0.17 @ NA"),
        )
    });
}

#[test]
fn logs_that_contradict_each_other() {
    caught("performance.summary-differs", |tree| {
        set(
            tree,
            "Offline",
            PERFORMANCE,
            "result_tokens_per_second",
            json!(13_999.0),
        )
    });
    caught("performance.inconsistent", |tree| {
        set(
            tree,
            "Offline",
            PERFORMANCE,
            "result_samples_per_second",
            json!(20.902),
        )
    });
    caught("performance.tokens-per-sample", |tree| {
        set(
            tree,
            "Server",
            PERFORMANCE,
            "result_completed_tokens_per_second",
            json!(30_000.0),
        )
    });
    caught("user-conf.differs", |tree| {
        tree.edit(&json!({"op": "replace", "path": at("Interactive", "user.conf"), "old": "target_qps = 11", "new": "target_qps = 12"}));
    });
    caught("loadgen.modified", |tree| {
        tree.edit(&json!({"op": "replace", "path": at("Offline", PERFORMANCE), "old": "86bc3765857092b9d1f380604b101c771679842a", "new": "06bc3765857092b9d1f380604b101c771679842a"}));
    });
    // The official parser takes the first of two values, people read the last.
    caught("log.stitched", |tree| {
        tree.edit(&json!({"op": "mllog_add", "path": at("Offline", PERFORMANCE), "key": "result_tokens_per_second", "value": 1.0}));
    });
    caught("performance.audit-config", |tree| {
        let text = tree.read(&at("Offline", PERFORMANCE));
        let line = tree
            .read(&at("Offline", &format!("TEST07/{PERFORMANCE}")))
            .lines()
            .find(|l| l.contains("Found Audit Config"))
            .unwrap()
            .to_owned();
        let pid = |line: &str| {
            line.split("\"pid\": ")
                .nth(1)
                .unwrap()
                .split(',')
                .next()
                .unwrap()
                .to_owned()
        };
        let line = line.replace(&pid(&line), &pid(text.lines().next().unwrap()));
        let (first, rest) = text.split_once('\n').unwrap();
        tree.write(
            &at("Offline", PERFORMANCE),
            &format!("{first}\n{line}\n{rest}"),
        );
    });
    caught("accuracy.scenario", |tree| {
        set(
            tree,
            "Offline",
            "accuracy/mlperf_log_detail.txt",
            "effective_scenario",
            json!("Server"),
        )
    });
    caught("log.seeds", |tree| {
        set(
            tree,
            "Offline",
            "accuracy/mlperf_log_detail.txt",
            "effective_qsl_rng_seed",
            json!(1),
        )
    });
    caught("log.incomplete", |tree| {
        tree.log(&at("Offline", PERFORMANCE), "num_errors", None)
    });
    caught("measurements.retraining", |tree| {
        tree.edit(&json!({"op": "json_set", "path": at("Offline", "measurements.json"), "key": "retraining", "value": "yes"}));
    });
    caught("submission.rehearsal", |tree| {
        tree.edit(&json!({"op": "json_set", "path": format!("{SUBMITTER}/systems/null-x1.json"), "key": "system_name", "value": "REHEARSAL x1"}));
    });
}
