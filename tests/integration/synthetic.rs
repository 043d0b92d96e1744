//! Random weights: they run like a model's, and everything that comes out of them says what they are.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::{Bench, Done, binary, finish, read_json, repository};

const LIMIT: Duration = Duration::from_secs(120);

fn generate(dir: &Path, input: &str, args: &[&str]) -> Done {
    std::fs::write(dir.join("in.jsonl"), input).unwrap();
    let mut command = Command::new(binary());
    command
        .current_dir(dir)
        .args(["generate", "--force", "--engine", "cpu"])
        .args(["--input", "in.jsonl", "--output", "out.jsonl"])
        .args(["--max-new-tokens", "6", "--max-batch", "4"])
        .args(args);
    finish(command, LIMIT)
}

#[test]
fn a_run_is_labelled_everywhere_and_is_no_official_one() {
    let bench = Bench::with_conf(
        "gpt-oss-120b.*.performance_sample_count_override = 8\n*.Offline.min_duration = 0\n\
         *.Offline.target_qps = 100\n*.Offline.min_query_count = 8\n",
    );
    let data = repository().join("demo/perf.parquet");
    let mut command = bench.run(&["--engine", "cpu", "--scenario", "offline"]);
    command
        .args(["--mode", "performance", "--max-new-tokens", "4"])
        .args(["--synthetic", "tiny", "--synthetic-seed", "7"])
        .args(["--kv-dtype", "fp8", "--dataset"])
        .arg(data);
    let done = finish(command, LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("SYNTHETIC"), "{}", done.stderr);
    let verdict = bench.verdict();
    assert_eq!(verdict["settings"], "test");
    let deviations = verdict["deviations"].to_string();
    assert!(deviations.contains("weights are made up"), "{deviations}");
    let plan = bench.plan();
    let model = &plan["model"];
    let description = model["description"].as_str().unwrap();
    assert!(description.starts_with("SYNTHETIC"), "{description}");
    assert!(description.contains("fp8"), "{description}");
    assert_eq!(
        model["synthetic"],
        serde_json::json!({ "shape": "tiny", "seed": 7, "router_skew": 0.0 })
    );
    assert_eq!(plan["kv_dtype"], "fp8");
    let summary = bench.out().join("mlperf_log_summary.txt");
    let summary = std::fs::read_to_string(summary).unwrap();
    assert!(summary.contains("SYNTHETIC weights"), "{summary}");
}

#[test]
fn the_same_seed_gives_the_same_noise() {
    let tmp = tempfile::tempdir().unwrap();
    let tokens = |args: &[&str]| {
        let input = "{\"id\": 1, \"input_tokens\": [5, 200000, 77]}\n";
        let done = generate(tmp.path(), input, args);
        assert_eq!(done.code(), Some(0), "{}", done.stderr);
        assert!(
            done.stderr.contains("these answers are noise"),
            "{}",
            done.stderr
        );
        let answer = read_json(&tmp.path().join("out.jsonl"));
        assert_eq!(answer["output_tokens"].as_array().unwrap().len(), 6);
        answer["output_tokens"].clone()
    };
    let first = tokens(&["--synthetic", "tiny"]);
    assert_eq!(tokens(&["--synthetic", "tiny"]), first);
    assert_ne!(
        tokens(&["--synthetic", "tiny", "--synthetic-seed", "2"]),
        first
    );
    assert_ne!(
        tokens(&["--synthetic", "tiny", "--synthetic-skew", "3"]),
        first
    );
}

#[test]
fn what_does_not_go_together_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let text = "{\"id\": 1, \"prompt\": \"hello\"}\n";
    generate(tmp.path(), text, &["--synthetic", "tiny"]).refused(&[
        "in.jsonl:1",
        "no tokenizer",
        "input_tokens",
    ]);
    let tokens = "{\"id\": 1, \"input_tokens\": [1]}\n";
    let refused = |args: &[&str], parts: &[&str]| {
        generate(tmp.path(), tokens, args).refused(parts);
    };
    refused(&[], &["--model", "--synthetic"]);
    refused(
        &["--synthetic", "tiny", "--model", "somewhere"],
        &["--model somewhere", "--synthetic tiny", "leave one out"],
    );
    refused(
        &["--synthetic-seed", "3", "--model", "somewhere"],
        &["--synthetic-seed"],
    );
    refused(
        &["--synthetic", "tiny", "--synthetic-skew=-1"],
        &["--synthetic-skew -1"],
    );
    refused(
        &["--synthetic", "gpt-oss-120b"],
        &["bytes", "--engine cuda"],
    );
    refused(
        &["--synthetic", "tiny", "--dtype", "f32", "--kv-dtype", "fp8"],
        &["--dtype f32", "leave one out"],
    );
    let mut infer = Command::new(binary());
    infer
        .current_dir(tmp.path())
        .args(["infer", "--synthetic", "tiny", "--output", "out.parquet"])
        .args(["--dataset", "nowhere.parquet"]);
    finish(infer, LIMIT).refused(&["--synthetic", "noise"]);
}
