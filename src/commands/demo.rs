//! `ossmark demo`: the main job on the embedded default. Writes the demo checkpoint and its data out, then runs this very
//! binary once per LoadGen test and once to score, as a user would, and shows the verdicts, some answers and the score.

mod ending;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ossmark_dataset::Dataset;
use ossmark_files::{create_new, make_directories};
use ossmark_harmony::Tokenizer;
use ossmark_score::lcb::Interpreter;
use serde_json::{Value, json};

use self::ending::Ending;
use super::report;
use crate::children;
use crate::cli::DemoArgs;
use crate::exit::Outcome;
use crate::output;
use crate::run::logs;
use crate::terminal::{page, progress, say};

/// The demo's files, embedded so that the binary needs nothing beside itself.
const FILES: [(&str, &[u8]); 9] = [
    ("config.json", include_bytes!("../../demo/config.json")),
    (
        "generation_config.json",
        include_bytes!("../../demo/generation_config.json"),
    ),
    (
        "model.safetensors",
        include_bytes!("../../demo/model.safetensors"),
    ),
    (
        "tokenizer.json",
        include_bytes!("../../demo/tokenizer.json"),
    ),
    (
        "tokenizer_config.json",
        include_bytes!("../../demo/tokenizer_config.json"),
    ),
    ("perf.parquet", include_bytes!("../../demo/perf.parquet")),
    (
        "accuracy.parquet",
        include_bytes!("../../demo/accuracy.parquet"),
    ),
    (
        "lcb_problems.jsonl",
        include_bytes!("../../demo/lcb_problems.jsonl"),
    ),
    ("user.conf", include_bytes!("../../demo/user.conf")),
];

/// The draft head of the Interactive run.
const HEAD: [(&str, &[u8]); 2] = [
    (
        "config.json",
        include_bytes!("../../demo/eagle3/config.json"),
    ),
    (
        "model.safetensors",
        include_bytes!("../../demo/eagle3/model.safetensors"),
    ),
];

/// Scenario, mode, data.
const RUNS: [(&str, &str, &str); 4] = [
    ("offline", "performance", "perf.parquet"),
    ("server", "performance", "perf.parquet"),
    ("interactive", "performance", "perf.parquet"),
    ("offline", "accuracy", "accuracy.parquet"),
];

/// Queries a second of the Server run: at most this, and no more than a quarter of what Offline has just shown. A slow machine,
/// or one that grows busier, has a valid run too, a longer one.
const SERVER_QPS: f64 = 25.0;

/// The longest answer of the demo checkpoint is well below this.
const MAX_NEW_TOKENS: &str = "256";

pub(crate) fn demo(args: &DemoArgs) -> Result<Outcome> {
    children::listen()?;
    let claimed = output::claim_empty_directory(&args.output, args.force)?;
    let (_directory, _) = claimed.make_room()?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let model = args.output.join("checkpoint");
    make_directories(&model).with_context(|| format!("cannot create {}", model.display()))?;
    let head = model.join("eagle3");
    make_directories(&head).with_context(|| format!("cannot create {}", head.display()))?;
    for (directory, files) in [(&model, &FILES[..]), (&head, &HEAD)] {
        for (name, content) in files {
            output::write_whole(&directory.join(name), content)?;
        }
    }
    let mut rows = Vec::new();
    let mut outcome = Outcome::Good;
    let mut server_qps = SERVER_QPS;
    for (scenario, mode, data) in RUNS {
        let dir = args.output.join(format!("{scenario}-{mode}"));
        let log = args.output.join(format!("{scenario}-{mode}.log"));
        let stdout = create_new(&log).with_context(|| log.display().to_string())?;
        let mut command = children::this_program()?;
        command
            .args([
                "run",
                "--engine",
                "cpu",
                "--scenario",
                scenario,
                "--mode",
                mode,
            ])
            .args(["--max-new-tokens", MAX_NEW_TOKENS])
            .arg("--model")
            .arg(&model)
            .arg("--dataset")
            .arg(model.join(data))
            .arg("--user-conf")
            .arg(model.join("user.conf"))
            .arg("--output")
            .arg(&dir)
            .stdout(stdout);
        if scenario != "offline" {
            command.arg("--target-qps").arg(format!("{server_qps:.3}"));
        }
        // The only scenario in which the rules allow it.
        if scenario == "interactive" {
            command.arg("--speculate").arg(&head);
        }
        let status = children::status(&mut command).context("cannot start the run")?;
        children::fail_if_interrupted(|| left(args))?;
        if !status.success() {
            outcome = Outcome::NotGood;
        }
        let verdict = read_verdict(&dir).with_context(|| {
            format!(
                "{scenario} {mode} ended with {status} and left no verdict; see {}",
                log.display()
            )
        })?;
        if scenario == "offline"
            && let Some(offline) = verdict["metrics"]["samples_per_second"].as_f64()
            && offline > 0.0
        {
            server_qps = server_qps.min(offline / 4.0);
        }
        rows.push(verdict);
    }
    let accuracy = args.output.join("offline-accuracy");
    let left_out = Interpreter::find(None).err();
    let log = match &left_out {
        None => accuracy.join(ossmark_logs::ACCURACY),
        Some(_) => without_programs(&model, &accuracy)?,
    };
    let score = score(&model, &accuracy, &log);
    children::fail_if_interrupted(|| left(args))?;
    let score = score?;
    let result = read_json(&accuracy.join("score.json"))?;
    if let Some(file) = &mut json_file {
        file.write_json(&json!({ "runs": rows, "score": result }))?;
    }
    print_answers(&model, &accuracy)?;
    page(&score);
    if let Some(why) = left_out {
        say!("");
        say!("without livecodebench, whose answers are programs that nothing here can run: {why}");
    }
    let runs = RUNS.map(|(scenario, mode, _)| args.output.join(format!("{scenario}-{mode}")));
    let shown = args.output.join("report.html");
    report::write_page(&runs, &mut output::claim_file(&shown, false)?)?;
    say!("");
    let ending = Ending {
        runs: &rows,
        score: result["exact_match"].as_f64(),
        output: &args.output,
        page: &shown,
    };
    for line in ending.lines() {
        say!("{line}");
    }
    Ok(outcome)
}

/// After Ctrl-C.
fn left(args: &DemoArgs) -> String {
    format!(
        "the rest of the demo was skipped; what was made until then is in {} (--force begins anew)",
        args.output.display()
    )
}

/// Scores the accuracy log as a user would; returns what the scorer prints.
fn score(model: &Path, accuracy: &Path, log: &Path) -> Result<String> {
    progress!("demo: score ...");
    let mut command = children::this_program()?;
    command
        .arg("score")
        .arg(log)
        .arg("--dataset")
        .arg(model.join("accuracy.parquet"))
        .arg("--tokenizer")
        .arg(model)
        .arg("--lcb-problems")
        .arg(model.join("lcb_problems.jsonl"))
        .arg("--details")
        .arg(accuracy.join("details.jsonl"))
        .arg("--accuracy-txt")
        .arg(accuracy.join("accuracy.txt"))
        .arg("--json")
        .arg(accuracy.join("score.json"));
    let (status, stdout) = children::output(&mut command).context("cannot start the scorer")?;
    if !status.success() {
        bail!("the scorer ended with {status}; its message is above");
    }
    String::from_utf8(stdout).context("the scorer printed what is no text")
}

/// The accuracy log without the answers that are programs, for a machine that has no Python to run them.
fn without_programs(model: &Path, accuracy: &Path) -> Result<PathBuf> {
    let dataset = Dataset::open_with(&model.join("accuracy.parquet"), &[])?;
    let log = read_json(&accuracy.join(ossmark_logs::ACCURACY))?;
    let entries = log.as_array().context("the accuracy log is no list")?;
    let is_program = |entry: &&Value| {
        let row = entry["qsl_idx"].as_u64().map(|row| row as usize);
        row.filter(|row| *row < dataset.len())
            .and_then(|row| dataset.cell("dataset", row))
            .is_some_and(|kind| kind.starts_with("livecodebench"))
    };
    let kept: Vec<String> = entries
        .iter()
        .filter(|entry| !is_program(entry))
        .map(Value::to_string)
        .collect();
    let file = accuracy.join("without_programs.json");
    output::write_whole(&file, format!("[\n{}\n]\n", kept.join(",\n")).as_bytes())?;
    Ok(file)
}

fn read_verdict(dir: &Path) -> Result<Value> {
    read_json(&dir.join("verdict.json"))
}

fn read_json(file: &Path) -> Result<Value> {
    let text =
        ossmark_files::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| file.display().to_string())
}

/// The first answer of each kind, as it stands in the accuracy log.
fn print_answers(model: &Path, dir: &Path) -> Result<()> {
    let dataset = Dataset::open_with(
        &model.join("accuracy.parquet"),
        &["ground_truth", "question"],
    )?;
    let tokenizer = Tokenizer::load(model)?;
    let answers = logs::read_answers(&dir.join(ossmark_logs::ACCURACY))?;
    for kind in dataset.rows_by_name().into_keys() {
        let Some(row) = (0..dataset.len()).find(|row| dataset.cell("dataset", *row) == Some(kind))
        else {
            continue;
        };
        let Some((_, tokens)) = answers.iter().find(|(sample, _)| *sample == row as u64) else {
            continue;
        };
        say!("");
        say!(
            "{kind}, sample {row}, expected answer: {}",
            dataset.cell("ground_truth", row).unwrap_or("-")
        );
        if let Some(question) = dataset.cell("question", row) {
            show("question:", question);
        }
        show("answer:", &tokenizer.decode(tokens));
    }
    Ok(())
}

/// A text of several lines beside its name.
fn show(name: &str, text: &str) {
    for (n, line) in text.trim_end().split('\n').enumerate() {
        let name = if n == 0 { name } else { "" };
        say!("  {name:<9} {line}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn programs_are_left_out_and_nothing_else() {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
        let dataset = Dataset::open_with(&model.join("accuracy.parquet"), &[]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let entries: Vec<Value> = (0..dataset.len())
            .map(|row| json!({ "seq_id": row, "qsl_idx": row, "data": "00", "token_count": 1 }))
            .collect();
        let log = dir.path().join(ossmark_logs::ACCURACY);
        std::fs::write(log, json!(entries).to_string()).unwrap();
        let kept = read_json(&without_programs(&model, dir.path()).unwrap()).unwrap();
        let rows: BTreeSet<u64> = kept
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["qsl_idx"].as_u64().unwrap())
            .collect();
        let mut programs = 0;
        for row in 0..dataset.len() {
            let kind = dataset.cell("dataset", row).unwrap();
            let is_program = kind.starts_with("livecodebench");
            programs += usize::from(is_program);
            assert_eq!(rows.contains(&(row as u64)), !is_program, "{row}: {kind}");
        }
        assert!(programs > 0 && programs < dataset.len());
    }
}
