//! A log is scored with the files of its run, or not without a word.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::common::{Bench, Done, binary, finish, read_json, repository};

const LIMIT: Duration = Duration::from_secs(120);

fn demo(file: &str) -> PathBuf {
    repository().join("demo").join(file)
}

/// A short run of the demo checkpoint.
fn made(mode: &str) -> Bench {
    let bench = Bench::new();
    let done = finish(
        bench.demo_model("offline", mode, &["--max-new-tokens", "2"]),
        LIMIT,
    );
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    bench
}

fn score(bench: &Bench, reference: &Path, tokenizer: &Path, more: &[&str]) -> Done {
    let mut command = Command::new(binary());
    command
        .arg("score")
        .arg("--log")
        .arg(bench.out().join("mlperf_log_accuracy.json"))
        .arg("--reference")
        .arg(reference)
        .arg("--tokenizer")
        .arg(tokenizer)
        .arg("--lcb-problems")
        .arg(demo("lcb_problems.jsonl"))
        .args(more);
    finish(command, LIMIT)
}

#[track_caller]
fn scored(done: &Done) {
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("'exact_match':"), "{}", done.stdout);
}

/// Changes what the plan says.
fn edit(bench: &Bench, change: impl FnOnce(&mut Value)) {
    let file = bench.out().join("run_plan.json");
    let mut plan = read_json(&file);
    change(&mut plan);
    std::fs::write(file, plan.to_string()).unwrap();
}

#[test]
fn an_accuracy_log_and_its_files() {
    let bench = made("accuracy");
    let (data, model) = (demo("accuracy.parquet"), demo(""));
    let right = score(&bench, &data, &model, &[]);
    scored(&right);
    assert!(!right.stderr.contains("was made"), "{}", right.stderr);

    // Another tokenizer, by directory or file; other data.
    let tokenizer = repository().join("tests/fixtures/score/tokenizer");
    for path in [tokenizer.clone(), tokenizer.join("tokenizer.json")] {
        score(&bench, &data, &path, &[]).refused(&[
            "run_plan.json",
            "demo/tokenizer.json",
            "score/tokenizer/tokenizer.json",
            "--anyway",
        ]);
    }
    let small = repository().join("tests/fixtures/score/edge/ref.parquet");
    score(&bench, &small, &model, &[]).refused(&["that has 480 rows, this has 17", "--anyway"]);
    let anyway = score(&bench, &data, &tokenizer, &["--anyway"]);
    scored(&anyway);
    for part in [
        "ossmark: warning: ",
        "demo/tokenizer.json",
        "finding: improbable_reading: ",
    ] {
        assert!(anyway.stderr.contains(part), "{part}: {}", anyway.stderr);
    }

    // The same prompts in another file are the same data; others in a file of as many rows are not.
    edit(&bench, |plan| {
        plan["dataset"]["file_sha256"] = "0".repeat(64).into()
    });
    scored(&score(&bench, &data, &model, &[]));
    edit(&bench, |plan| {
        plan["dataset"]["content_sha256"] = "0".repeat(64).into()
    });
    score(&bench, &data, &model, &[]).refused(&["the prompts are others", "accuracy.parquet"]);
    // A plan from before tokenizers were named; a run over made-up prompts; somebody else's file of that name.
    edit(&bench, |plan| {
        plan["dataset"] = Value::Null;
        plan["tokenizer"] = Value::Null;
    });
    score(&bench, &data, &tokenizer, &[]).refused(&["without a data set"]);
    // A plan that cannot be used is no reason not to score, and is not passed over in silence.
    for text in ["{\"mode\": \"x\"}", "{", "[]"] {
        std::fs::write(bench.out().join("run_plan.json"), text).unwrap();
        let done = score(&bench, &data, &model, &[]);
        scored(&done);
        let warned = done.stderr.contains("was not compared with it");
        assert!(warned, "{text}: {}", done.stderr);
    }
}

/// A link to a log belongs to the run that it leads to.
#[test]
fn a_log_behind_a_link() {
    let bench = made("accuracy");
    let link = bench.dir.path().join("elsewhere.json");
    std::os::unix::fs::symlink(bench.out().join("mlperf_log_accuracy.json"), &link).unwrap();
    let small = repository().join("tests/fixtures/score/edge/ref.parquet");
    let mut command = Command::new(binary());
    command
        .arg("score")
        .arg("--log")
        .arg(&link)
        .arg("--reference")
        .arg(&small)
        .arg("--tokenizer")
        .arg(demo(""));
    finish(command, LIMIT).refused(&["that has 480 rows, this has 17", "--anyway"]);
}

#[test]
fn a_performance_runs_log_is_no_accuracy_log() {
    let bench = made("performance");
    let model = demo("");
    let accuracy = demo("accuracy.parquet");
    score(&bench, &accuracy, &model, &[]).refused(&[
        "found the mode \"performance\"",
        "expected \"accuracy\"",
        "--anyway",
    ]);
    // A compliance test's log is that of a performance run; its data are still others.
    edit(&bench, |plan| plan["audit_config"] = "given".into());
    let other = score(&bench, &accuracy, &model, &[]);
    other.refused(&["the run was made with", "perf.parquet"]);
    assert!(!other.stderr.contains("the mode"), "{}", other.stderr);
    // LoadGen's own log knows the mode where there is no plan.
    std::fs::remove_file(bench.out().join("run_plan.json")).unwrap();
    score(&bench, &accuracy, &model, &[]).refused(&["mlperf_log_detail.txt", "AccuracyOnly"]);
    // And where there is neither, the answers are looked at.
    std::fs::remove_file(bench.out().join("mlperf_log_detail.txt")).unwrap();
    let alone = score(&bench, &accuracy, &model, &[]);
    scored(&alone);
    assert!(
        alone.stderr.contains("is it the log of an accuracy run?"),
        "{}",
        alone.stderr
    );
}

/// A tokenizer that cannot be read could never be held against a score: the run says so before it begins. One that is not
/// there is none.
#[test]
fn a_tokenizer_that_cannot_be_read_is_said() {
    let bench = Bench::new();
    let model = bench.dir.path().join("model");
    std::fs::create_dir(&model).unwrap();
    for entry in std::fs::read_dir(demo("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_file() && name != "tokenizer.json" {
            std::os::unix::fs::symlink(&path, model.join(name)).unwrap();
        }
    }
    let run = || {
        let mut command = bench.run(&["--engine", "cpu", "--scenario", "offline"]);
        command
            .args(["--mode", "accuracy", "--max-new-tokens", "2", "--force"])
            .arg("--model")
            .arg(&model)
            .arg("--dataset")
            .arg(demo("accuracy.parquet"));
        finish(command, LIMIT)
    };
    let file = model.join("tokenizer.json");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &file,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    run().refused(&["tokenizer.json", "named pipe"]);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    run().refused(&["tokenizer.json", "directory"]);
    std::fs::remove_dir(&file).unwrap();
    std::os::unix::fs::symlink("nowhere", &file).unwrap();
    run().refused(&["tokenizer.json"]);
    std::fs::remove_file(&file).unwrap();
    let done = run();
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let plan = read_json(&bench.out().join("run_plan.json"));
    assert_eq!(plan["tokenizer"], Value::Null);
}
