//! `ossmark score` against the answers of the official scorer (tests/fixtures/score), and what it refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::common::{Done, binary, finish, read_json, repository};

const LIMIT: Duration = Duration::from_secs(120);

fn fixtures() -> PathBuf {
    repository().join("tests/fixtures/score")
}

fn score(log: &Path, reference: &Path) -> Command {
    let mut command = Command::new(binary());
    command.arg("score").arg("--log").arg(log);
    command.arg("--reference").arg(reference);
    command.arg("--tokenizer").arg(fixtures().join("tokenizer"));
    command
}

/// The details file by the log's running number.
fn details(file: &Path) -> BTreeMap<u64, Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap();
        (value["seq_id"].as_u64().unwrap(), value)
    });
    lines.collect()
}

/// Every verdict, every figure and the printed block.
#[track_caller]
fn assert_equals_official(name: &str, done: &Done, dir: &Path, out: &Path) {
    assert_eq!(
        done.code(),
        Some(0),
        "{name}: {}{}",
        done.stdout,
        done.stderr
    );
    let expected = std::fs::read_to_string(dir.join("expected_stdout.txt")).unwrap();
    // LiveCodeBench's own loader prints this; it is no part of the scorer's result.
    let expected = expected.trim_start_matches("Loaded 7 problems\n");
    assert_eq!(done.stdout.trim(), expected.trim(), "{name}");
    let official = read_json(&dir.join("expected_verbose.json"));
    let ours = read_json(&out.join("score.json"));
    for figure in [
        "total_samples",
        "total_correct",
        "overall_accuracy",
        "final_score",
        "max_score",
        "final_score_percentage",
        "dataset_repeats",
        "per_dataset",
    ] {
        // Floats to the bit: both sides print the shortest decimals.
        assert_eq!(
            ours["summary"][figure], official["summary"][figure],
            "{name}: {figure}"
        );
    }
    let mut ours = details(&out.join("details.jsonl"));
    let entries = official["detailed_results"].as_array().unwrap();
    for entry in entries {
        let id = entry["seq_id"].as_u64().unwrap();
        let found = ours
            .remove(&id)
            .unwrap_or_else(|| panic!("{name}: entry {id} is missing"));
        for (key, official_key) in [
            ("qsl_idx", "qsl_idx"),
            ("dataset", "dataset"),
            ("correct", "is_correct"),
            ("token_count", "token_count"),
            ("reason", "evaluation_details"),
        ] {
            assert_eq!(found[key], entry[official_key], "{name}: entry {id}: {key}");
        }
        let extracted = match &found["extracted"] {
            // The official file cuts programs at 200 characters, and writes numbers as text.
            Value::String(text) => Value::from(text.chars().take(200).collect::<String>()),
            Value::Number(number) => Value::from(number.to_string()),
            other => other.clone(),
        };
        assert_eq!(
            extracted, entry["extracted_answer"],
            "{name}: entry {id}: extracted"
        );
    }
    assert!(ours.is_empty(), "{name}: {} entries too many", ours.len());
}

#[test]
fn three_kinds_of_questions_score_as_officially() {
    let dir = fixtures().join("mixed");
    let out = tempfile::tempdir().unwrap();
    // Its directories stand for the log and for the problems.
    let mut command = score(&dir, &dir.join("reference.parquet"));
    command.arg("--lcb-problems").arg(&dir);
    command
        .arg("--details")
        .arg(out.path().join("details.jsonl"));
    command
        .arg("--accuracy-txt")
        .arg(out.path().join("accuracy.txt"));
    command.arg("--log-hash");
    command.arg("--json").arg(out.path().join("score.json"));
    let done = finish(command, LIMIT);
    assert_equals_official("mixed", &done, &dir, out.path());
    assert!(!out.path().join("details.jsonl.partial").exists());
    for name in ["details.jsonl", "accuracy.txt", "score.json"] {
        let said = format!("wrote {}", out.path().join(name).display());
        assert!(done.stderr.contains(&said), "{said}: {}", done.stderr);
    }
    let order: Vec<Value> = std::fs::read_to_string(out.path().join("details.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq_id"].clone())
        .collect();
    let log = read_json(&dir.join("mlperf_log_accuracy.json"));
    let logged: Vec<Value> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["seq_id"].clone())
        .collect();
    assert_eq!(order, logged, "details are in the log's order");
    let accuracy = std::fs::read_to_string(out.path().join("accuracy.txt")).unwrap();
    let hash = read_json(&out.path().join("score.json"))["log_sha256"].clone();
    assert!(accuracy.contains("\n'exact_match': 78.750\n"), "{accuracy}");
    assert!(
        accuracy.ends_with(&format!("\nhash={}\n", hash.as_str().unwrap())),
        "{accuracy}"
    );
}

/// What the official scorer makes of odd logs; where it ends with an exception, a clear refusal here.
#[test]
fn odd_logs_score_as_officially_or_are_refused() {
    let dir = fixtures().join("edge");
    let index = read_json(&dir.join("index.json"));
    for case in index.as_array().unwrap() {
        let name = case["case"].as_str().unwrap();
        let out = tempfile::tempdir().unwrap();
        let mut command = score(
            &dir.join(name).join("mlperf_log_accuracy.json"),
            &dir.join("ref.parquet"),
        );
        command
            .arg("--details")
            .arg(out.path().join("details.jsonl"));
        command.arg("--json").arg(out.path().join("score.json"));
        let done = finish(command, LIMIT);
        if case["exit_code"] == 0 {
            assert_equals_official(name, &done, &dir.join(name), out.path());
        } else {
            done.refused(&["mlperf_log_accuracy.json: entry ", "expected"]);
        }
    }
}

/// What the reference passes over in silence is a finding.
#[test]
fn findings_name_what_the_reference_lets_pass() {
    let dir = fixtures().join("edge");
    for (name, rule) in [
        ("out_of_range", "out_of_range"),
        ("subset", "missing"),
        ("duplicate", "duplicate"),
        ("empty", "no_answers"),
        ("empty_data", "empty"),
        ("full", "token_count"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let mut command = score(
            &dir.join(name).join("mlperf_log_accuracy.json"),
            &dir.join("ref.parquet"),
        );
        command.arg("--json").arg(out.path().join("score.json"));
        let done = finish(command, LIMIT);
        let findings = read_json(&out.path().join("score.json"))["findings"].clone();
        let rules: Vec<&str> = findings
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["rule"].as_str().unwrap())
            .collect();
        assert!(rules.contains(&rule), "{name}: {rules:?}");
        assert!(
            done.stderr.contains(&format!("finding: {rule}: ")),
            "{name}: {}",
            done.stderr
        );
    }
}

fn inferred(file: &str) -> Command {
    let mut command = Command::new(binary());
    command
        .arg("score")
        .arg("--inferred")
        .arg(fixtures().join("passes").join(file));
    command
}

/// Two passes over seven rows; the figures are those of the official eval_accuracy.py.
#[test]
fn passes_score_as_officially() {
    let dir = fixtures().join("passes");
    let out = tempfile::tempdir().unwrap();
    let mut command = inferred("inferred.parquet");
    command
        .arg("--details")
        .arg(out.path().join("details.jsonl"));
    let done = finish(command, LIMIT);
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    let expected = std::fs::read_to_string(dir.join("expected_stdout.txt")).unwrap();
    assert_eq!(
        done.stdout.trim(),
        format!("{}\n\n'exact_match': 71.429", expected.trim())
    );
    let details = std::fs::read_to_string(out.path().join("details.jsonl")).unwrap();
    let official = read_json(&dir.join("expected.json"));
    assert_eq!(details.lines().count(), official.as_array().unwrap().len());
    for (line, entry) in details.lines().zip(official.as_array().unwrap()) {
        let mut found: Value = serde_json::from_str(line).unwrap();
        if let Some(number) = found["extracted"].as_u64() {
            found["extracted"] = Value::from(number.to_string());
        }
        for key in ["row", "pass", "extracted", "correct"] {
            assert_eq!(found[key], entry[key], "{line}");
        }
    }
}

/// The same rows and the reference data of the odd logs, as pandas pickles them.
#[test]
fn pickles_need_permission() {
    finish(inferred("inferred.pkl"), LIMIT).refused(&["inferred.pkl", "--allow-pickle"]);
    let mut command = inferred("inferred.pkl");
    command.arg("--allow-pickle");
    let allowed = finish(command, LIMIT);
    assert_eq!(
        allowed.stdout,
        finish(inferred("inferred.parquet"), LIMIT).stdout
    );

    let edge = fixtures().join("edge");
    let log = edge.join("full/mlperf_log_accuracy.json");
    finish(score(&log, &edge.join("ref.pkl")), LIMIT).refused(&["ref.pkl", "--allow-pickle"]);
    let mut command = score(&log, &edge.join("ref.pkl"));
    command.arg("--allow-pickle");
    let pickled = finish(command, LIMIT);
    assert_eq!(pickled.code(), Some(0), "{}", pickled.stderr);
    assert_eq!(
        pickled.stdout,
        finish(score(&log, &edge.join("ref.parquet")), LIMIT).stdout
    );
}

/// Verdicts of programs are kept while the others run, and a second run goes on from there.
#[test]
fn a_killed_scorer_goes_on_where_it_was() {
    let dir = fixtures().join("mixed");
    let out = tempfile::tempdir().unwrap();
    let details = out.path().join("details.jsonl");
    let partial = out.path().join("details.jsonl.partial");
    let command = || {
        let mut command = score(
            &dir.join("mlperf_log_accuracy.json"),
            &dir.join("reference.parquet"),
        );
        command
            .arg("--lcb-problems")
            .arg(dir.join("lcb_problems.jsonl"));
        command
            .arg("--workers")
            .arg("1")
            .arg("--details")
            .arg(&details);
        command
    };
    let lines = || std::fs::read_to_string(&partial).map_or(0, |text| text.lines().count());
    let mut child = command()
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // The header and at least one verdict.
    let start = std::time::Instant::now();
    while lines() < 2 {
        assert!(start.elapsed() < LIMIT, "no verdict was kept");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let kept = lines() - 1;
    assert!(!details.exists(), "killed before its end");

    let other = {
        let mut command = command();
        command.arg("--lcb-timeout").arg("61");
        finish(command, LIMIT)
    };
    other.refused(&["details.jsonl.partial", "timeout_s\":60", "timeout_s\":61"]);

    let done = finish(command(), LIMIT);
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    assert!(
        done.stderr.contains(&format!("({kept} earlier)")),
        "{kept}: {}",
        done.stderr
    );
    assert!(
        done.stdout.ends_with("'exact_match': 78.750\n"),
        "{}",
        done.stdout
    );
    assert!(details.exists() && !partial.exists());
}

#[test]
fn bad_input_is_refused_by_name() {
    let (mixed, edge) = (fixtures().join("mixed"), fixtures().join("edge"));
    let log = mixed.join("mlperf_log_accuracy.json");
    let reference = mixed.join("reference.parquet");
    let out = tempfile::tempdir().unwrap();

    // Programs cannot be graded without their problems.
    finish(score(&log, &reference), LIMIT).refused(&["livecodebench", "--lcb-problems"]);

    let whole = std::fs::read(&log).unwrap();
    let cut = out.path().join("cut.json");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    finish(score(&cut, &reference), LIMIT)
        .refused(&["cut.json: at byte ", "not written to its end"]);

    // A directory without a log, one of somebody's submission, and logs that were cut for one.
    finish(score(out.path(), &reference), LIMIT)
        .refused(&["found no mlperf_log_accuracy.json in it", "accuracy run"]);
    let accuracy = out.path().join("Offline/accuracy");
    std::fs::create_dir_all(&accuracy).unwrap();
    let text = String::from_utf8_lossy(&whole);
    let ends = format!("{}\n\n...\n\n{}", &text[..4096], &text[text.len() - 4096..]);
    std::fs::write(accuracy.join("mlperf_log_accuracy.json"), ends).unwrap();
    for given in [
        accuracy.join("mlperf_log_accuracy.json"),
        accuracy.clone(),
        out.path().join("Offline"),
    ] {
        finish(score(&given, &reference), LIMIT).refused(&["truncated", "has no hash= of it"]);
    }
    let hash = "0123456789abcdef".repeat(4);
    std::fs::write(accuracy.join("accuracy.txt"), format!("x\nhash={hash}\n")).unwrap();
    finish(score(&accuracy, &reference), LIMIT).refused(&["ask the submitter", &hash]);

    finish(score(&reference, &reference), LIMIT).refused(&["found 'P'", "a list of entries"]);
    finish(score(&log, &log), LIMIT).refused(&["mlperf_log_accuracy.json", "parquet"]);
    finish(score(&out.path().join("none.json"), &reference), LIMIT)
        .refused(&["none.json: cannot be read", "not found"]);

    let perf = repository().join("tests/fixtures/echo_script.parquet");
    finish(score(&log, &perf), LIMIT).refused(&["echo_script.parquet", "dataset"]);

    let strange = out.path().join("strange.json");
    for (row, expected) in [
        (1, "no evaluator for the data set \"sudoku\""),
        (2, "name is empty"),
    ] {
        std::fs::write(
            &strange,
            format!("[{{\"seq_id\": 0, \"qsl_idx\": {row}, \"data\": \"\"}}]"),
        )
        .unwrap();
        let names = fixtures().join("unknown.parquet");
        finish(score(&strange, &names), LIMIT).refused(&["unknown.parquet: row ", expected]);
    }

    // The demo's tokenizer is another one: its ids end elsewhere, but it is one, and the reference would go on.
    let mut command = Command::new(binary());
    command
        .arg("score")
        .arg("--log")
        .arg(edge.join("full/mlperf_log_accuracy.json"));
    command
        .arg("--reference")
        .arg(edge.join("ref.parquet"))
        .arg("--tokenizer");
    command.arg(repository().join("demo/tokenizer.json"));
    let done = finish(command, LIMIT);
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    for rule in ["unknown_tokens", "improbable_reading"] {
        assert!(
            done.stderr.contains(&format!("finding: {rule}: ")),
            "{}",
            done.stderr
        );
    }

    let mut command = Command::new(binary());
    command
        .arg("score")
        .arg("--log")
        .arg(&log)
        .arg("--reference")
        .arg(&reference);
    command
        .arg("--tokenizer")
        .arg(repository().join("demo/config.json"));
    finish(command, LIMIT).refused(&["config.json", "not a Hugging Face tokenizer.json"]);

    let taken = out.path().join("details.jsonl");
    std::fs::write(&taken, "kept").unwrap();
    let mut command = score(
        &edge.join("full/mlperf_log_accuracy.json"),
        &edge.join("ref.parquet"),
    );
    command.arg("--details").arg(&taken);
    finish(command, LIMIT).refused(&["details.jsonl", "already exists", "--force"]);
    assert_eq!(std::fs::read_to_string(&taken).unwrap(), "kept");
}
