//! `ossmark infer` with servers that fail, and that are gone for a while.

use std::process::Stdio;
use std::time::{Duration, Instant};

use ossmark_dataset::Table;
use ossmark_record::{End, Record, Row};

use crate::common::{finish, read_json};
use crate::infer::{ROWS, infer};
use crate::remote::{Kind, Server};

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn failed_requests_are_reported_and_tried_again() {
    let tmp = tempfile::tempdir().unwrap();
    let server = Server::start(Kind::FailsFirst(100));
    let args = [
        "--engine",
        "http",
        "--endpoint",
        &server.url,
        "--max-concurrency",
        "16",
        "--max-new-tokens",
        "8",
    ];
    let done = finish(infer(tmp.path(), &args), LIMIT);
    assert_eq!(done.code(), Some(1), "{}{}", done.stdout, done.stderr);
    assert!(
        done.stderr.contains("100 failed") && done.stderr.contains("HTTP 500"),
        "{}",
        done.stderr
    );
    assert!(!tmp.path().join("out.parquet").exists());
    let report = read_json(&tmp.path().join("done.json"));
    assert_eq!(
        (&report["answered"], &report["failed"]),
        (&412.into(), &100.into())
    );
    let ends = || {
        let record = Record::open(&tmp.path().join("out.parquet.record")).unwrap();
        let failed = |row: &&Row| row.end == End::Failed && row.completed_ns.is_none();
        (record.rows.len(), record.rows.iter().filter(failed).count())
    };
    assert_eq!(ends(), (ROWS, 100));

    std::fs::remove_file(tmp.path().join("done.json")).unwrap();
    let done = finish(infer(tmp.path(), &args), LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let report = read_json(&tmp.path().join("done.json"));
    assert_eq!(
        report["answered_now"], 100,
        "only the failed ones are asked again"
    );
    assert_eq!(ends(), (ROWS, 0));
    let table = Table::open(&tmp.path().join("out.parquet")).unwrap();
    assert_eq!(table.tokens("tok_model_output_0").unwrap().len(), ROWS);
    // As the scorer takes it: a column of text, one of lengths, the questions' kinds and truths.
    for column in [
        "model_output_0",
        "tok_model_output_len_0",
        "dataset",
        "ground_truth",
    ] {
        assert!(table.has(column));
    }
}

/// A server that is killed with requests under way and comes back at its address: everything is answered, nothing burnt.
#[test]
fn a_server_that_is_killed_and_restarted_costs_nothing() {
    let echo = |port: &str| {
        crate::serve::Server::start(&[
            "--port",
            port,
            "--engine",
            "echo",
            "--echo-tokens",
            "8",
            "--echo-ttft-ms",
            "20",
        ])
    };
    let tmp = tempfile::tempdir().unwrap();
    let first = echo("0");
    let url = first.url();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let args = [
        "--engine",
        "http",
        "--endpoint",
        &url,
        "--max-concurrency",
        "8",
        "--max-new-tokens",
        "32",
        "--hold",
        "60",
    ];
    let mut going = infer(tmp.path(), &args)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let journal = tmp.path().join("out.parquet.journal");
    let began = Instant::now();
    while std::fs::metadata(&journal).map_or(0, |m| m.len()) < 4000 {
        assert!(began.elapsed() < LIMIT && going.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    // Its end kills it.
    drop(first);
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        going.try_wait().unwrap().is_none(),
        "it ended with the server"
    );
    let _second = echo(&port);
    assert!(going.wait().unwrap().success());
    let report = read_json(&tmp.path().join("done.json"));
    assert_eq!(
        (&report["answered"], &report["failed"]),
        (&ROWS.into(), &0.into())
    );
    assert!(report["remote"]["held"].as_u64() > Some(0), "{report}");
}
