//! `report`, `compare` and `runs`: exit codes, files, and what scripts read.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Bench, Done, binary, finish, repository, words};

const LIMIT: Duration = Duration::from_secs(120);

fn ossmark(dir: &Path, args: &[&str]) -> Done {
    let mut command = Command::new(binary());
    command.current_dir(dir).args(args);
    finish(command, LIMIT)
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// A directory with a copy of the made-up run as `run`.
fn place() -> TempDir {
    let tmp = tempfile::tempdir().unwrap();
    let run = tmp.path().join("run");
    fs::create_dir(&run).unwrap();
    for name in ["verdict.json", "run_plan.json"] {
        fs::copy(
            repository().join("tests/fixtures/run").join(name),
            run.join(name),
        )
        .unwrap();
    }
    tmp
}

#[test]
fn a_run_that_ossmark_just_made_has_a_page_a_line_and_equals_itself() {
    let bench = Bench::new();
    let run = finish(
        bench.echo("offline", "performance", &["--echo-tokens", "8"]),
        LIMIT,
    );
    assert_eq!(run.code(), Some(0), "{}\n{}", run.stdout, run.stderr);
    let dir = bench.dir.path();
    let done = ossmark(
        dir,
        &words("report out --output page.html --json page.json"),
    );
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    let page = fs::read_to_string(dir.join("page.html")).unwrap();
    assert!(page.contains("Valid offline performance run"), "{page}");
    let shown = &json(&dir.join("page.json"))["runs"][0];
    let verdict = json(&dir.join("out/verdict.json"));
    assert_eq!(shown["verdict"], "valid");
    assert_eq!(
        shown["tokens_per_s"].as_f64().unwrap(),
        verdict["metrics"]["tokens_per_second"].as_f64().unwrap()
    );
    assert_eq!(shown["samples"], verdict["metrics"]["samples_completed"]);
    assert_eq!(shown["output_tokens"], verdict["metrics"]["output_tokens"]);

    let done = ossmark(
        dir,
        &words("runs --json runs.json --verdict valid --scenario offline"),
    );
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    assert_eq!(json(&dir.join("runs.json"))[0]["dir"], "./out");
    assert!(done.stdout.contains("./out"), "{}", done.stdout);
    let none = ossmark(dir, &["runs", "--verdict", "invalid"]);
    assert!(
        none.code() == Some(0) && none.stdout.contains("no run below"),
        "{}",
        none.stdout
    );

    let done = ossmark(dir, &["compare", "out", "out", "--json", "compare.json"]);
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    let comparison = json(&dir.join("compare.json"));
    assert_eq!(comparison["settings"], json!([]));
    assert_eq!(comparison["metrics"][0]["name"], "tokens_per_s");
    assert_eq!(comparison["metrics"][0]["ratio"], 1.0);

    // A log that was touched since.
    let log = dir.join("out/mlperf_log_summary.txt");
    let changed = fs::read_to_string(&log).unwrap() + "\n";
    fs::write(&log, changed).unwrap();
    let done = ossmark(dir, &["report", "out", "--output", "changed.html"]);
    assert_eq!(done.code(), Some(1), "{}", done.stdout);
    assert!(
        done.stdout
            .contains("mlperf_log_summary.txt is not the file that the verdict was given on"),
        "{}",
        done.stdout
    );
}

#[test]
fn what_is_no_run_is_refused_and_nothing_is_overwritten() {
    let tmp = place();
    let dir = tmp.path();
    fs::create_dir(dir.join("empty")).unwrap();
    ossmark(dir, &["report", "empty", "--output", "page.html"])
        .refused(&["empty", "found no run there"]);
    ossmark(dir, &["report", "run", "none", "--output", "page.html"])
        .refused(&["none", "found no run there"]);
    assert!(!dir.join("page.html").exists());
    ossmark(dir, &["compare", "run"]).refused(&["expected two or more"]);
    ossmark(dir, &["compare", "run", "run", "--floor=-1"])
        .refused(&["expected a number from 0 on"]);
    ossmark(dir, &["runs", "none"]).refused(&["none", "expected a directory with runs in it"]);
    fs::write(dir.join("page.html"), "mine").unwrap();
    ossmark(dir, &["report", "run", "--output", "page.html"])
        .refused(&["page.html", "already exists"]);
    assert_eq!(fs::read_to_string(dir.join("page.html")).unwrap(), "mine");
}

#[test]
fn a_run_that_cannot_be_read_whole_has_a_page_that_says_so() {
    let tmp = place();
    let dir = tmp.path();
    fs::write(dir.join("run/samples.parquet"), "PAR1").unwrap();
    fs::write(dir.join("run/power.json"), "[").unwrap();
    let done = ossmark(dir, &["report", "run", "--output", "page.html"]);
    assert_eq!(done.code(), Some(1), "{}\n{}", done.stdout, done.stderr);
    for part in [
        "samples.parquet",
        "power.json is not what ossmark writes",
        "written: page.html",
    ] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
}

#[test]
fn scripts_are_told_whether_runs_are_alike() {
    let tmp = place();
    let dir = tmp.path();
    for (name, rate) in [("a", 100.0), ("b", 101.0), ("c", 110.0)] {
        fs::create_dir(dir.join(name)).unwrap();
        let entry = json!({"key": "result_tokens_per_second", "value": rate, "time_ms": 1.0,
            "metadata": {"is_error": false, "is_warning": false, "file": "a.cc", "line_no": 1}});
        fs::write(
            dir.join(name).join("mlperf_log_detail.txt"),
            format!(":::MLLOG {entry}\n"),
        )
        .unwrap();
    }
    let code = |args: &[&str]| ossmark(dir, args).code();
    assert_eq!(code(&["compare", "a", "c"]), Some(0));
    assert_eq!(
        code(&["compare", "a", "b", "--expect-within", "2"]),
        Some(0)
    );
    assert_eq!(
        code(&["compare", "a", "c", "--expect-within", "2"]),
        Some(1)
    );
    assert_eq!(
        code(&["compare", "a", "--with", "b", "--expect-within", "2"]),
        Some(0)
    );
    // Nothing is known of it.
    assert_eq!(
        code(&["compare", "run", "a", "--expect-within", "2"]),
        Some(1)
    );
}

/// It would be watched for ever.
#[test]
fn a_directory_of_runs_is_no_run_to_watch() {
    let tmp = place();
    let dir = tmp.path();
    ossmark(dir, &["watch", "."]).refused(&["found runs in it", "run"]);
    let done = ossmark(dir, &["watch", "run", "--once"]);
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
}
