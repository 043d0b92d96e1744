//! The whole way from runs to a packed submission, by the command that rehearses it, with runs of seconds: what is checked at
//! the end must be the stamp and the duration, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::common::{binary, finish, read_json};

#[path = "../../src/commands/submission/rehearse/data.rs"]
pub(crate) mod data;

/// Twelve runs at once and three scores: a minute on two idle cores.
const LIMIT: Duration = Duration::from_secs(600);

#[test]
fn a_short_rehearsal_lacks_duration_and_carries_the_stamp() {
    let tmp = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary());
    command.args(["submission", "rehearse", "--short", "--output"]);
    command.arg(tmp.path());
    let done = finish(command, LIMIT);
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    // A line for each run that has ended, and one for each step after them.
    for run in ["performance", "accuracy", "test07", "test09"] {
        for scenario in ["offline", "server", "interactive"] {
            let line = format!("{scenario}-{run}: valid");
            assert_eq!(done.stderr.matches(&line).count(), 1, "{}", done.stderr);
        }
    }
    assert!(
        done.stdout.contains(
            "the stamp of a rehearsal and that the runs were short, as it has to, and nothing else"
        ),
        "{}",
        done.stdout
    );

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
    let verified = std::fs::read_to_string(tmp.path().join("log/verify.txt")).unwrap();
    assert!(
        verified.contains("every hash as in SHA256SUMS"),
        "{verified}"
    );
    no_path_is_handed_in(tmp.path());
    crate::auditor::looks_at_a_rehearsal(tmp.path());
}

/// Plans, verdicts and READMEs of the tree say nothing of where this machine keeps its files.
fn no_path_is_handed_in(root: &Path) {
    let mut open = vec![root.join("tree")];
    let mut plans = 0;
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&text);
            assert!(!text.contains(root.to_str().unwrap()), "{}", path.display());
            plans += usize::from(path.ends_with("run_plan.json"));
        }
    }
    assert_eq!(plans, 12);
}

/// What is missing is said before the first run.
#[test]
fn a_rehearsal_looks_first_at_what_it_needs() {
    let tmp = tempfile::tempdir().unwrap();
    let rehearse = |more: &[&str]| {
        let mut command = Command::new(binary());
        command.current_dir(tmp.path());
        command.args(["submission", "rehearse", "--output", "out"]);
        command.args(more);
        finish(command, LIMIT)
    };
    let done = rehearse(&["--dry-run"]);
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("12 runs at once"), "{}", done.stdout);
    rehearse(&["--python", "/no/python"]).refused(&["/no/python", "LiveCodeBench", "--python"]);
    assert!(!tmp.path().join("out").exists());
}
