//! The whole way from runs to a packed submission, by the script that documents it, with runs of seconds: what is checked at
//! the end must be the stamp and the duration, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::common::{binary, finish, read_json, repository};

#[path = "../../examples/rehearsal_data/data.rs"]
pub(crate) mod data;

/// Twelve runs at once and three scores: a minute on two idle cores.
const LIMIT: Duration = Duration::from_secs(600);

#[test]
fn a_short_rehearsal_lacks_duration_and_carries_the_stamp() {
    let tmp = tempfile::tempdir().unwrap();
    data::write(&tmp.path().join("data"), &repository().join("demo")).unwrap();
    let mut command = Command::new("bash");
    command
        .arg(repository().join("submission/rehearsal.sh"))
        .arg(tmp.path())
        .arg("short")
        .env("OSSMARK", binary());
    let done = finish(command, LIMIT);
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);

    for scenario in ["offline", "server", "interactive"] {
        let run = |mode: &str| tmp.path().join(format!("runs/{scenario}-{mode}"));
        let verdict = read_json(&run("performance").join("verdict.json"));
        assert_eq!(verdict["loadgen"]["result"], "VALID", "{verdict:#}");
        let deviations: Vec<&str> = verdict["deviations"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert!(
            deviations.len() == 2
                && deviations[0].contains("min_duration_ms is 5000")
                && deviations[1].contains("scripted"),
            "{deviations:?}"
        );
        // A record lies beside the logs, and is none of the tree's.
        for mode in ["performance", "accuracy"] {
            let record = ossmark_record::Record::open(&run(mode)).unwrap();
            assert!(record.is_complete() && !record.rows.is_empty());
            assert!(
                read_json(&run(mode).join("verdict.json"))["files"]["samples.parquet"].is_string()
            );
        }
        let score = std::fs::read_to_string(run("accuracy").join("accuracy.txt")).unwrap();
        assert!(score.contains("'exact_match': 83."), "{score}");
    }

    let report = read_json(&tmp.path().join("check.json"));
    assert_eq!(report["verdict"], "invalid");
    let mut found: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    for finding in report["findings"].as_array().unwrap() {
        let rule = finding["rule"].as_str().unwrap();
        found
            .entry(rule)
            .or_default()
            .insert(finding["official"].as_bool().unwrap());
    }
    let expected = [
        ("performance.min-duration", true),
        ("submission.rehearsal", false),
    ];
    let expected = expected.map(|(rule, official)| (rule, BTreeSet::from([official])));
    assert_eq!(found, BTreeMap::from(expected), "{:#}", report["findings"]);
    assert!(tmp.path().join("Rehearsal.tar.zst").is_file());
    assert!(
        done.stdout.contains("every hash as in SHA256SUMS"),
        "{}",
        done.stdout
    );
    crate::auditor::looks_at_a_rehearsal(tmp.path());
}
