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
