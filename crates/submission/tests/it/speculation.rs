//! Runs of ossmark that drafted tokens, as LoadGen's logs of them say.

use ossmark_submission::Severity;
use serde_json::json;

use crate::common::{BENCHMARK, Tree, is_valid, rules};

const LOGS: [&str; 2] = [
    "performance/run_1/mlperf_log_detail.txt",
    "accuracy/mlperf_log_detail.txt",
];

/// The rules that find something of speculation when the SUT of all logs of a scenario has this name.
fn found(scenario: &str, sut: &str) -> (Vec<String>, bool) {
    let tree = Tree::clean();
    for log in LOGS {
        let log = format!("{BENCHMARK}/{scenario}/{log}");
        tree.log(&log, "sut_name", Some(&json!(sut)));
    }
    let official = tree.check(true);
    assert!(is_valid(&official), "{:#?}", official.findings);
    let report = tree.check(false);
    let of_speculation: Vec<_> = rules(&report)
        .into_iter()
        .filter(|rule| rule.starts_with("speculation."))
        .map(str::to_owned)
        .collect();
    let errors = report
        .findings
        .iter()
        .any(|f| f.rule.starts_with("speculation.") && f.severity == Severity::Error);
    (of_speculation, errors)
}

#[test]
fn in_offline_and_server_it_is_named_and_in_interactive_the_head_is() {
    let sut =
        |steps: u32| format!("ossmark 0.1.0 (cuda, EAGLE3 head 0123456789ab, {steps} drafts)");
    let (twice, thrice) = (["speculation.head"; 2], sut(3));
    for scenario in ["Offline", "Server"] {
        let (rules, errors) = found(scenario, &thrice);
        let expected = ["speculation.scenario", "speculation.head"].repeat(2);
        assert_eq!(rules, expected, "{scenario}");
        assert!(errors);
    }
    assert_eq!(
        found("Interactive", &thrice),
        (twice.map(str::to_owned).to_vec(), false)
    );
    let (rules, errors) = found("Interactive", &sut(4));
    assert_eq!(rules, ["speculation.steps", "speculation.head"].repeat(2));
    assert!(errors);
    for other in [
        "ossmark 0.1.0 (cuda)",
        "SGLang with an EAGLE3 head 0123456789ab, 3 drafts",
    ] {
        assert_eq!(found("Offline", other), (Vec::new(), false), "{other}");
    }
}
