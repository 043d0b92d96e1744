//! Runs with a record become the tree that runs without one become.

use std::fs;

use crate::building::{build_at, refused, runs, sha256};

/// A record lies beside the logs, or does not: the same tree. One that is not the run's is refused.
#[test]
fn a_record_stays_behind_and_is_the_runs() {
    const RECORD: [&str; 3] = ["samples.parquet", "timeline.jsonl", "power.json"];
    let tmp = tempfile::tempdir().unwrap();
    runs(tmp.path(), "official", |run, _, verdict| {
        // Of the accuracy run the record was removed afterwards.
        for name in RECORD {
            let file = tmp.path().join(run).join(name);
            fs::write(&file, name).unwrap();
            verdict["files"][name] = sha256(&file).into();
            if run.ends_with("accuracy") {
                fs::remove_file(file).unwrap();
            }
        }
    });
    let written = build_at(tmp.path(), false).unwrap();
    let holds = |name: &str| written.iter().any(|file| file.contains(name));
    assert!(!RECORD.iter().any(|name| holds(name)), "{written:?}");
    let plain = tempfile::tempdir().unwrap();
    runs(plain.path(), "official", |_, _, _| ());
    assert_eq!(build_at(plain.path(), false).unwrap(), written);
    fs::remove_dir_all(tmp.path().join("tree")).unwrap();
    for name in RECORD {
        let file = tmp.path().join("runs/server-performance").join(name);
        fs::write(&file, "another's").unwrap();
        let whole = format!("({name} in verdict.json)");
        refused(tmp.path(), false, &[&whole, "which the run left"]);
        fs::write(&file, name).unwrap();
    }
    build_at(tmp.path(), false).unwrap();
}
