//! The CPU engine's own measurement, and the environment variable that names its instructions.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::common::{binary, finish, read_json, repository};

const LIMIT: Duration = Duration::from_secs(300);

/// What it says is whole and adds up; how fast it was is nobody's business here.
#[test]
fn figures_stand_beside_what_the_machine_allows() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("cpu.json");
    let mut command = Command::new(binary());
    command
        .args(["bench", "engine", "--engine", "cpu", "--model"])
        .arg(repository().join("demo"))
        .args(["--batch", "1,3", "--prompt", "4", "--tokens", "5"])
        .args(["--prefill", "7", "--threads", "1,2"])
        .args(["--cpu-repack", "on", "--json"])
        .arg(&json);
    let done = finish(command, LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let report = read_json(&json);
    let ways = report["ways"].as_array().unwrap();
    assert_eq!(ways.len(), 2);
    for (way, threads) in ways.iter().zip([1, 2]) {
        assert_eq!(way["threads"], threads);
        assert!(way["model"].as_str().unwrap().contains("repacked"), "{way}");
        for part in ["read_gb_per_s", "fma_gflop_per_s"] {
            assert!(way["bound"][part].as_f64().unwrap() > 0.0, "{way}");
        }
        let figures = way["figures"].as_array().unwrap();
        // Decoding begins with the first token, so that four of five are counted.
        let tokens: Vec<_> = figures
            .iter()
            .map(|f| f["tokens"].as_u64().unwrap())
            .collect();
        assert_eq!(tokens, [4, 12, 7]);
        for f in figures {
            let of = |name: &str| f[name].as_f64().unwrap();
            let rate = of("tokens") / of("seconds");
            assert!((of("tokens_per_s") / rate - 1.0).abs() < 1e-6, "{f}");
            assert!(of("bound_tokens_per_s") > 0.0, "{f}");
        }
    }
}

/// Without a head and with it, at each batch size: the same answers, and how many drafts stood.
#[test]
fn a_head_is_measured_beside_plain_decoding() {
    let dir = tempfile::tempdir().unwrap();
    let measured = |answers: f64, tokens: f64, more: &[&str]| {
        let json = dir.path().join("speculation.json");
        let mut command = Command::new(binary());
        command
            .current_dir(repository())
            .args(["bench", "engine", "--engine", "cpu", "--model", "demo"])
            .args(["--threads", "1", "--force", "--json"])
            .arg(&json)
            .args(more);
        let done = finish(command, LIMIT);
        assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
        let report = read_json(&json);
        let way = report["ways"][0].clone();
        assert_eq!(way["models"].as_array().unwrap().len(), 2);
        for f in way["figures"].as_array().unwrap() {
            let of = |name: &str| f[name].as_f64().unwrap();
            let rate = of("tokens") / of("seconds");
            assert!((of("tokens_per_s") / rate - 1.0).abs() < 1e-6, "{f}");
            let drafts = f["drafts"] == true;
            assert_eq!(f["gain"].is_number(), drafts, "{f}");
            assert_eq!(f["acceptance_length"].is_number(), drafts, "{f}");
            // Every token but the first of each answer is a round's, and but a last one that nothing had to be drafted for.
            let all = of("rounds") * f["acceptance_length"].as_f64().unwrap_or(0.0);
            assert!(
                !drafts || (all + answers >= of("tokens") && all < answers * tokens),
                "{f}"
            );
        }
        (way, done.stdout)
    };
    let (way, said) = measured(
        512.0,
        9.0,
        &[
            "--speculate",
            "demo/eagle3",
            "--dataset",
            "demo/perf.parquet",
            "--batch",
            "1,64",
            "--tokens",
            "9",
        ],
    );
    let figures = way["figures"].as_array().unwrap();
    let sizes: Vec<_> = figures
        .iter()
        .map(|f| (f["batch"].as_u64(), &f["drafts"]))
        .collect();
    let (no, yes) = (&json!(false), &json!(true));
    assert_eq!(
        sizes,
        [
            (Some(1), yes),
            (Some(64), yes),
            (Some(1), no),
            (Some(64), no)
        ]
    );
    for f in &figures[..2] {
        assert_eq!(f["answers_that_differ"], 0, "{f}");
        assert!(f["acceptance_length"].as_f64().unwrap() > 1.5, "{f}");
        let by_position = f["accepted_by_position"].as_array().unwrap();
        assert_eq!(by_position.len(), 3, "{f}");
    }
    assert!(said.contains("the same tokens"), "{said}");
    let (way, said) = measured(8.0, 65.0, &["--synthetic-head", "3", "--batch", "8"]);
    assert_eq!(way["simulated_acceptance_length"], 3.0);
    assert!(said.contains("SYNTHETIC EAGLE3 head"), "{said}");
    let with_head = &way["figures"][0];
    assert!(with_head["answers_that_differ"].is_null(), "{with_head}");
    let length = with_head["acceptance_length"].as_f64().unwrap();
    assert!((2.0..=4.0).contains(&length), "{with_head}");
}

#[test]
fn heads_that_cannot_be_measured_are_refused_by_name() {
    for (more, expected) in [
        (
            &["--synthetic-head", "4.5"][..],
            &["--synthetic-head 4.5", "1 to 4"][..],
        ),
        (
            &["--synthetic-head", "NaN"],
            &["--synthetic-head NaN", "1 to 4"],
        ),
        (
            &["--synthetic-head", "--speculate-steps", "17"],
            &["--speculate-steps 17", "1 to 16"],
        ),
        (
            &["--synthetic-head", "--speculate-features", "boundary"],
            &["--speculate-features"],
        ),
        (
            &["--synthetic-head", "--speculate", "demo/eagle3"],
            &["--synthetic-head", "--speculate"],
        ),
        (
            &["--dataset", "demo/perf.parquet"],
            &["--dataset", "--synthetic-head"],
        ),
        (&["--synthetic-head", "--prefill", "7"], &["--prefill"]),
        (&["--synthetic-head", "--batch", "0"], &["--batch 0"]),
        (&["--speculate-steps", "3"], &["--speculate HEAD_DIR"]),
        (
            &["--speculate", "demo"],
            &["--speculate demo", "config.json"],
        ),
    ] {
        let mut command = Command::new(binary());
        command
            .current_dir(repository())
            .args([
                "bench",
                "engine",
                "--engine",
                "cpu",
                "--model",
                "demo",
                "--threads",
                "1",
            ])
            .args(more);
        finish(command, LIMIT).refused(expected);
    }
}

fn generate(dir: &Path, simd: Option<&str>, more: &[&str]) -> crate::common::Done {
    let demo = repository().join("demo");
    let golden = std::fs::read_to_string(demo.join("golden.jsonl")).unwrap();
    let lines = golden.lines().take(2).map(|line| {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap();
        let prompt = json!({ "id": answer["id"], "input_tokens": answer["input_tokens"] });
        format!("{prompt}\n")
    });
    std::fs::write(dir.join("in.jsonl"), lines.collect::<String>()).unwrap();
    let mut command = Command::new(binary());
    command.current_dir(dir).env_remove("OSSMARK_SIMD");
    if let Some(simd) = simd {
        command.env("OSSMARK_SIMD", simd);
    }
    command
        .args(["generate", "--force", "--engine", "cpu", "--model"])
        .arg(demo)
        .args(["--input", "in.jsonl", "--output", "out.jsonl"])
        .args(["--max-new-tokens", "12"])
        .args(more);
    finish(command, LIMIT)
}

#[test]
fn the_same_tokens_from_plain_code_and_from_experts_in_another_order() {
    let dir = tempfile::tempdir().unwrap();
    let answers = |simd, more: &[&str]| {
        let done = generate(dir.path(), simd, more);
        assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
        std::fs::read_to_string(dir.path().join("out.jsonl")).unwrap()
    };
    let expected = answers(None, &[]);
    assert_eq!(answers(Some("plain"), &[]), expected);
    for repack in ["auto", "on", "off"] {
        assert_eq!(answers(None, &["--cpu-repack", repack]), expected);
    }
}

#[test]
fn instructions_that_are_not_there_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for bad in ["sse9", "", "AVX2"] {
        generate(dir.path(), Some(bad), &[]).refused(&["OSSMARK_SIMD", bad, "plain"]);
    }
}
