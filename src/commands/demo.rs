//! `ossmark demo`: the main job on the embedded default. Writes the demo checkpoint and its data out, then runs this very
//! binary once per LoadGen test and once to score, as a user would, and shows the verdicts, some answers and the score.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use ossmark_dataset::Dataset;
use ossmark_files::{create_new, make_directories};
use ossmark_harmony::Tokenizer;
use ossmark_score::lcb::Interpreter;
use serde_json::{Value, json};

use super::report;
use crate::children;
use crate::cli::DemoArgs;
use crate::exit::Outcome;
use crate::output;
use crate::run::logs;
use crate::terminal::{note, page, say};

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
    let exe = std::env::current_exe().context("cannot find this program's own file")?;
    let mut rows = Vec::new();
    let mut outcome = Outcome::Good;
    let mut server_qps = SERVER_QPS;
    for (scenario, mode, data) in RUNS {
        let dir = args.output.join(format!("{scenario}-{mode}"));
        note!("demo: {scenario} {mode} ...");
        let log = args.output.join(format!("{scenario}-{mode}.log"));
        let stdout = create_new(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(&exe);
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
    let score = score(&exe, &model, &accuracy, &log);
    children::fail_if_interrupted(|| left(args))?;
    let score = score?;
    print_table(&rows);
    print_deviations(&rows);
    print_answers(&model, &accuracy)?;
    say!("");
    say!(
        "logs, plans, verdicts and scores: {}",
        args.output.display()
    );
    if let Some(file) = &mut json_file {
        let score = read_json(&accuracy.join("score.json"))?;
        file.write_json(&json!({ "runs": rows, "score": score }))?;
    }
    page(&score);
    if let Some(why) = left_out {
        say!("");
        say!("without livecodebench, whose answers are programs that nothing here can run: {why}");
    }
    let runs = RUNS.map(|(scenario, mode, _)| args.output.join(format!("{scenario}-{mode}")));
    let shown = args.output.join("report.html");
    report::write_page(&runs, &mut output::claim_file(&shown, false)?)?;
    say!("");
    say!("what happened when, on one page: {}", shown.display());
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
fn score(exe: &Path, model: &Path, accuracy: &Path, log: &Path) -> Result<String> {
    note!("demo: score ...");
    let mut command = Command::new(exe);
    command
        .arg("score")
        .arg("--log")
        .arg(log)
        .arg("--reference")
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

fn print_table(rows: &[Value]) {
    say!("");
    say!(
        "{:<11} {:<12} {:<8} {:<9} {:>7} {:>10} {:>10} {:>10} {:>10} {:>9}",
        "scenario",
        "mode",
        "verdict",
        "settings",
        "samples",
        "tokens",
        "tokens/s",
        "TTFT p99",
        "TPOT p99",
        "LG errors"
    );
    let ms = |v: &Value| {
        v.as_f64()
            .map_or("-".into(), |ns| format!("{:.1} ms", ns / 1e6))
    };
    for v in rows {
        let m = &v["metrics"];
        // Accuracy mode has no figure of LoadGen's: the harness's own is shown.
        let own_rate = m["output_tokens"]
            .as_f64()
            .zip(m["elapsed_s"].as_f64())
            .map(|(n, s)| n / s);
        let rate = m["tokens_per_second"].as_f64().or(own_rate);
        say!(
            "{:<11} {:<12} {:<8} {:<9} {:>7} {:>10} {:>10} {:>10} {:>10} {:>9}",
            text(&v["scenario"]),
            text(&v["mode"]),
            text(&v["verdict"]),
            text(&v["settings"]),
            m["samples_completed"],
            m["output_tokens"],
            rate.map_or("-".into(), |r| format!("{r:.0}")),
            ms(&m["ttft_p99_ns"]),
            ms(&m["tpot_p99_ns"]),
            v["loadgen"]["errors"],
        );
    }
    for v in rows {
        if let Some(length) = v["metrics"]["speculation"]["acceptance_length"].as_f64() {
            say!(
                "  {} {}: tokens were drafted by a head (EAGLE3), {length:.2} tokens a round; {} decode steps saved",
                text(&v["scenario"]),
                text(&v["mode"]),
                v["metrics"]["speculation"]["steps_saved"],
            );
        }
        for reason in v["reasons"].as_array().into_iter().flatten() {
            say!(
                "  {} {}: {}",
                text(&v["scenario"]),
                text(&v["mode"]),
                text(reason)
            );
        }
    }
}

fn print_deviations(rows: &[Value]) {
    let deviations = rows
        .iter()
        .flat_map(|v| v["deviations"].as_array().into_iter().flatten())
        .map(text);
    let distinct: BTreeSet<&str> = deviations.collect();
    say!("");
    say!("These are test runs, not MLPerf results; they deviate from the round's rules:");
    for deviation in distinct {
        say!("  - {deviation}");
    }
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

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

#[cfg(test)]
mod tests {
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
