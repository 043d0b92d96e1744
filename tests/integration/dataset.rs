//! `ossmark dataset prepare` and `inspect`, and the file that a run refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::common::{Bench, Done, binary, finish, read_json, repository, words};

const LIMIT: Duration = Duration::from_secs(60);

fn fixtures() -> PathBuf {
    repository().join("crates/prepare/tests/fixtures")
}

fn prepare(recipe: &Path, output: &Path, extra: &[&str]) -> Done {
    let mut command = Command::new(binary());
    command
        .args(["dataset", "prepare", "--recipe"])
        .arg(recipe)
        .arg("--tokenizer")
        .arg(repository().join("demo"))
        .arg("--output")
        .arg(output)
        .args(extra);
    finish(command, LIMIT)
}

fn inspect(file: &Path, json: &Path) -> (Done, Value) {
    let mut command = Command::new(binary());
    command
        .args(["dataset", "inspect", "--dataset"])
        .arg(file)
        .arg("--json")
        .arg(json);
    let done = finish(command, LIMIT);
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    (done, read_json(json))
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_prepared_file_is_the_same_for_any_workers_and_can_be_run() {
    let bench = Bench::new();
    let dir = bench.dir.path();
    let recipe = fixtures().join("recipe.toml");
    let mut files = Vec::new();
    for workers in ["1", "8"] {
        fs::create_dir(dir.join(workers)).unwrap();
        let output = dir.join(workers).join("data.parquet");
        let json = dir.join(format!("prepared{workers}.json"));
        let json_at = json.to_str().unwrap();
        let done = prepare(&recipe, &output, &["--workers", workers, "--json", json_at]);
        assert_eq!(done.code(), Some(0), "{}", done.stderr);
        let manifest = output.with_extension("manifest.json");
        assert_eq!(read_json(&json), read_json(&manifest));
        assert!(
            done.stdout
                .contains("effort high, date 2025-09-30, seed 42"),
            "{}",
            done.stdout
        );
        assert_eq!(
            names(&dir.join(workers)),
            ["data.manifest.json", "data.parquet"]
        );
        files.push((
            fs::read(&output).unwrap(),
            fs::read(output.with_extension("manifest.json")).unwrap(),
        ));
    }
    assert!(files[0] == files[1]);

    let output = dir.join("1/data.parquet");
    let (done, inspected) = inspect(&output, &dir.join("inspect.json"));
    assert!(
        done.stdout.contains("it is none of the benchmark's files"),
        "{}",
        done.stdout
    );
    let manifest = read_json(&dir.join("1/data.manifest.json"));
    assert_eq!(
        inspected["content_sha256"],
        manifest["output"]["content_sha256"]
    );
    assert_eq!(inspected["file_sha256"], manifest["output"]["sha256"]);
    assert_eq!(inspected["rows"], 43);
    assert_eq!(inspected["official_file"], Value::Null);
    let bars = inspected["histogram"].as_array().unwrap();
    assert_eq!(
        bars.iter()
            .map(|bar| bar["prompts"].as_u64().unwrap())
            .sum::<u64>(),
        43
    );

    let conf =
        "gpt-oss-120b.*.accuracy_sample_count_override = 43\n*.Offline.min_query_count = 1\n";
    fs::write(dir.join("user.conf"), conf).unwrap();
    let model = repository().join("demo");
    let mut run = bench.run(&words(
        "--engine cpu --scenario offline --mode accuracy --max-new-tokens 4 --model",
    ));
    run.arg(model).arg("--dataset").arg(&output);
    let done = finish(run, LIMIT);
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
}

#[test]
fn nothing_is_overwritten_and_nothing_partial_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("data.parquet");
    let recipe = fixtures().join("recipe.toml");
    assert_eq!(prepare(&recipe, &output, &[]).code(), Some(0));
    let before = fs::read(&output).unwrap();
    prepare(&recipe, &output, &["--effort", "low"]).refused(&["already exists", "--force"]);
    assert_eq!(fs::read(&output).unwrap(), before);

    // A row that cannot be used, after good ones: the earlier files stay where they are, forced or not.
    let broken = dir.path().join("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(
        broken.join("a.jsonl"),
        "{\"question\": \"x\", \"answer\": 1}\n{\"question\": \"y\"\n",
    )
    .unwrap();
    fs::write(
        broken.join("r.toml"),
        "[[source]]\nkind = \"aime25\"\nfiles = [\"a.jsonl\"]",
    )
    .unwrap();
    let there = names(dir.path());
    prepare(&broken.join("r.toml"), &output, &["--force"]).refused(&[
        "a.jsonl",
        "line 2",
        "not a JSON object",
    ]);
    assert_eq!(names(dir.path()), there);
    assert_eq!(fs::read(&output).unwrap(), before);
    prepare(&broken.join("r.toml"), &broken.join("new.parquet"), &[]).refused(&["line 2"]);
    assert_eq!(names(&broken), ["a.jsonl", "r.toml"]);
    prepare(
        &broken.join("r.toml"),
        &broken.join("a.jsonl"),
        &["--force"],
    )
    .refused(&["is one of the recipe's files"]);

    assert_eq!(
        prepare(&recipe, &output, &["--effort", "low", "--force"]).code(),
        Some(0)
    );
    assert!(fs::read(&output).unwrap() != before);
    assert_eq!(
        fs::read(dir.path().join("data.parquet.old.1")).unwrap(),
        before
    );
    assert!(dir.path().join("data.manifest.json.old.1").exists());
}

#[test]
fn a_run_refuses_another_runs_official_file() {
    // 198 questions of GPQA, five times: the rows and names of the compliance file.
    let bench = Bench::new();
    let dir = bench.dir.path();
    let question = |n: usize| format!("Question {n},right,wrong,false,no\n");
    let header =
        "Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3\n";
    fs::write(
        dir.join("g.csv"),
        header.to_owned() + &(0..198).map(question).collect::<String>(),
    )
    .unwrap();
    fs::write(
        dir.join("r.toml"),
        "[[source]]\nkind = \"gpqa_diamond\"\nfiles = [\"g.csv\"]",
    )
    .unwrap();
    let data = dir.join("compliance.parquet");
    assert_eq!(prepare(&dir.join("r.toml"), &data, &[]).code(), Some(0));
    let (done, inspected) = inspect(&data, &dir.join("inspect.json"));
    assert!(
        done.stdout
            .contains("compliance (GPQA) file; it suits TEST07"),
        "{}",
        done.stdout
    );
    assert_eq!(inspected["official_file"], "compliance");

    let run = |mode: &str, extra: &[&str]| {
        let mut command = bench.echo("offline", mode, extra);
        command.arg("--dataset").arg(&data);
        finish(command, LIMIT)
    };
    for (mode, wanted) in [
        ("performance", "performance file (6396 rows)"),
        ("accuracy", "accuracy file (4395 rows)"),
    ] {
        run(mode, &[]).refused(&[
            "compliance (GPQA) file",
            "990 rows",
            wanted,
            "--any-dataset",
        ]);
    }
    assert!(!bench.out().exists());
    let done = run("accuracy", &["--any-dataset"]);
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    assert_eq!(bench.verdict()["settings"], "test");
}
