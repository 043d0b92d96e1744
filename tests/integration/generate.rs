//! `ossmark generate` against Hugging Face's implementation: the golden checkpoints.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::common::{binary, finish, read_json, repository};

const LIMIT: Duration = Duration::from_secs(120);

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn generate(
    model: &Path,
    input: &Path,
    dir: &Path,
    args: &[&str],
) -> HashMap<String, (Vec<u64>, String)> {
    let output = dir.join("out.jsonl");
    let mut command = Command::new(binary());
    command
        .args(["generate", "--force", "--model"])
        .arg(model)
        .arg("--input")
        .arg(input)
        .arg("--output")
        .arg(&output);
    let done = finish(
        {
            command.args(args);
            command
        },
        LIMIT,
    );
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    let answers = lines(&output).into_iter().map(|line| {
        let tokens = line["output_tokens"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t.as_u64().unwrap())
            .collect();
        (
            line["id"].to_string(),
            (tokens, line["finish_reason"].as_str().unwrap().to_owned()),
        )
    });
    answers.collect()
}

fn log_softmax(row: &[f32]) -> Vec<f64> {
    let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = row.iter().map(|x| (f64::from(*x) - max).exp()).sum();
    row.iter().map(|x| f64::from(*x) - max - sum.ln()).collect()
}

fn floats(view: &safetensors::tensor::TensorView<'_>) -> Vec<f32> {
    view.data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

#[test]
fn greedy_tokens_and_log_probabilities_are_those_of_hugging_face() {
    for name in ["a", "b"] {
        let model = repository().join("tests/fixtures/golden").join(name);
        let golden = lines(&model.join("golden.jsonl"));
        let tmp = tempfile::tempdir().unwrap();
        let input = tmp.path().join("in.jsonl");
        let ids: Vec<String> = golden
            .iter()
            .map(|g| g["id"].as_str().unwrap().to_owned())
            .collect();
        let prompts: Vec<String> = golden
            .iter()
            .map(|g| {
                serde_json::json!({ "id": g["id"], "input_tokens": g["input_tokens"] }).to_string()
            })
            .collect();
        std::fs::write(&input, prompts.join("\n")).unwrap();
        let new_tokens = golden
            .iter()
            .map(|g| g["greedy_f32"].as_array().unwrap().len())
            .max()
            .unwrap()
            .to_string();
        let logits = tmp.path().join("logits.safetensors");
        let args = [
            "--dtype",
            "f32",
            "--temperature",
            "0",
            "--max-new-tokens",
            &new_tokens,
            "--logits",
        ];
        let mut all: Vec<&str> = args.to_vec();
        all.push(logits.to_str().unwrap());
        let answers = generate(&model, &input, tmp.path(), &all);
        for g in &golden {
            let expected: Vec<u64> = g["greedy_f32"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t.as_u64().unwrap())
                .collect();
            assert_eq!(
                answers[&g["id"].to_string()].0,
                expected,
                "{name} {}",
                g["id"]
            );
        }
        let (ours, theirs) = (
            std::fs::read(&logits).unwrap(),
            std::fs::read(model.join("golden_logits_f32.safetensors")).unwrap(),
        );
        let ours = safetensors::SafeTensors::deserialize(&ours).unwrap();
        let theirs = safetensors::SafeTensors::deserialize(&theirs).unwrap();
        let mut worst = 0.0_f64;
        for id in &ids {
            let tensor = format!("logits.{id}");
            let (a, b) = (
                ours.tensor(&tensor).unwrap(),
                theirs.tensor(&tensor).unwrap(),
            );
            assert_eq!(a.shape(), b.shape(), "{name} {tensor}");
            let vocab = a.shape()[1];
            for (x, y) in floats(&a).chunks(vocab).zip(floats(&b).chunks(vocab)) {
                let pairs = log_softmax(x).into_iter().zip(log_softmax(y));
                worst = pairs.fold(worst, |w, (p, q)| w.max((p - q).abs()));
            }
        }
        assert!(worst < 1e-3, "{name}: log-probabilities differ by {worst}");
    }
}

#[test]
fn the_same_tokens_alone_batched_chunked_and_preempted() {
    let demo = repository().join("demo");
    let tmp = tempfile::tempdir().unwrap();
    let input = tmp.path().join("in.jsonl");
    let prompts: Vec<String> = (0..64)
        .map(|i| serde_json::json!({ "id": i, "prompt": format!("<|start|>user<|message|>What is {i} + {}?<|end|><|start|>assistant", i * 7 % 50) }).to_string())
        .collect();
    std::fs::write(&input, prompts.join("\n")).unwrap();
    let run = |extra: &[&str]| {
        let mut args = vec![
            "--dtype",
            "f32",
            "--temperature",
            "1",
            "--seed",
            "5",
            "--max-new-tokens",
            "40",
        ];
        args.extend(extra);
        generate(&demo, &input, tmp.path(), &args)
    };
    let alone = run(&["--max-batch", "1"]);
    assert_eq!(alone.len(), 64);
    for extra in [
        &["--max-batch", "64"][..],
        &["--max-step-tokens", "1"],
        &["--max-step-tokens", "7"],
        &["--max-step-tokens", "512"],
        &["--kv-memory-mib", "1", "--max-batch", "64"],
        &["--dp", "2"],
        // Both engines full, and most requests in the queue.
        &["--dp", "3", "--max-batch", "2"],
    ] {
        assert_eq!(run(extra), alone, "{extra:?}");
    }
}

#[test]
fn bad_input_is_named() {
    let demo = repository().join("demo");
    let tmp = tempfile::tempdir().unwrap();
    for (line, expected) in [
        ("{\"id\":1}", "both or none"),
        ("{\"id\":1,\"input_tokens\":[]}", "empty"),
        ("{\"id\":1,\"input_tokens\":[999999]}", "vocabulary"),
        ("{\"id\":1,\"input_tokens\":[1.5]}", "in.jsonl:1"),
        (
            "{\"id\":1,\"input_tokens\":[1]}\n{\"id\":1,\"input_tokens\":[1]}",
            "twice",
        ),
        ("", "no prompts"),
    ] {
        let input = tmp.path().join("in.jsonl");
        std::fs::write(&input, line).unwrap();
        let mut command = Command::new(binary());
        command
            .arg("generate")
            .arg("--model")
            .arg(&demo)
            .arg("--input")
            .arg(&input);
        finish(
            {
                command.arg("--output").arg(tmp.path().join("o"));
                command
            },
            LIMIT,
        )
        .refused(&[expected]);
    }
    let config = read_json(&demo.join("config.json"));
    let long = vec![1; config["max_position_embeddings"].as_u64().unwrap() as usize + 1];
    let input = tmp.path().join("long.jsonl");
    std::fs::write(
        &input,
        serde_json::json!({ "id": 1, "input_tokens": long }).to_string(),
    )
    .unwrap();
    let mut command = Command::new(binary());
    command
        .arg("generate")
        .arg("--model")
        .arg(&demo)
        .arg("--input")
        .arg(&input);
    finish(
        {
            command.arg("--output").arg(tmp.path().join("o"));
            command
        },
        LIMIT,
    )
    .refused(&["context"]);
}

/// A line of `--drafts`, and one of the reference's.
fn round(line: &Value) -> (String, u64, Vec<u64>, u64) {
    let drafted = line["drafted"].as_array().unwrap().iter();
    (
        line["id"].to_string(),
        line["position"].as_u64().unwrap(),
        drafted.map(|t| t.as_u64().unwrap()).collect(),
        line["accepted"].as_u64().unwrap(),
    )
}

#[test]
fn speculation_gives_the_same_tokens_and_writes_its_rounds() {
    for (name, head, features) in [
        ("a", "copycat", "block-output"),
        ("a", "boundary", "boundary"),
        ("b", "norm_before_fc", "block-output"),
    ] {
        let model = repository().join("tests/fixtures/golden").join(name);
        let head = repository()
            .join("tests/fixtures/eagle3")
            .join(name)
            .join(head);
        let golden = lines(&model.join("golden.jsonl"));
        let tmp = tempfile::tempdir().unwrap();
        let (input, drafts) = (tmp.path().join("in.jsonl"), tmp.path().join("drafts.jsonl"));
        let prompts: Vec<String> = golden
            .iter()
            .map(|g| {
                serde_json::json!({ "id": g["id"], "input_tokens": g["input_tokens"] }).to_string()
            })
            .collect();
        std::fs::write(&input, prompts.join("\n")).unwrap();
        let new_tokens = golden[0]["greedy_f32"].as_array().unwrap().len();
        let new_tokens = new_tokens.to_string();
        for dp in ["1", "2"] {
            let args = [
                "--engine",
                "cpu",
                "--dtype",
                "f32",
                "--temperature",
                "0",
                "--max-new-tokens",
                &new_tokens,
                "--dp",
                dp,
                "--speculate",
                head.to_str().unwrap(),
                "--speculate-steps",
                "3",
                "--speculate-features",
                features,
                "--drafts",
                drafts.to_str().unwrap(),
            ];
            let answers = generate(&model, &input, tmp.path(), &args);
            for g in &golden {
                let found = serde_json::json!(answers[&g["id"].to_string()].0);
                assert_eq!(found, g["greedy_f32"], "{name} {}", g["id"]);
            }
            let found: Vec<_> = lines(&drafts).iter().map(round).collect();
            let expected: Vec<_> = lines(&head.join("rounds.jsonl"))
                .iter()
                .map(round)
                .collect();
            assert_eq!(found.len(), expected.len(), "{name}");
            for (found, expected) in found.iter().zip(&expected) {
                let (id, position, drafted, accepted) = expected;
                // At the limit fewer are drafted.
                let drafted = &drafted[..found.2.len()];
                let accepted = *accepted.min(&(drafted.len() as u64));
                assert_eq!(*found, (id.clone(), *position, drafted.to_vec(), accepted));
            }
            assert!(found.iter().filter(|round| round.2.len() == 3).count() > found.len() / 2);
        }
    }
}

#[test]
fn speculation_that_cannot_be_is_refused() {
    let model = repository().join("tests/fixtures/golden/a");
    let head = repository().join("tests/fixtures/eagle3/a/copycat");
    let (model, head) = (model.to_str().unwrap(), head.to_str().unwrap());
    let tmp = tempfile::tempdir().unwrap();
    std::fs::write(
        tmp.path().join("in.jsonl"),
        "{\"id\": 1, \"input_tokens\": [5, 6]}",
    )
    .unwrap();
    for (args, words) in [
        (&["--speculate-steps", "3"][..], "--speculate HEAD_DIR"),
        (
            &["--speculate-features", "boundary"],
            "--speculate HEAD_DIR",
        ),
        (&["--drafts", "d.jsonl"], "--drafts is for --speculate"),
        (
            &["--speculate", head, "--speculate-steps", "0"],
            "expected 1 to 16",
        ),
        (
            &["--speculate", head, "--speculate-steps", "17"],
            "expected 1 to 16",
        ),
        (
            &["--speculate", head, "--drafts", "out.jsonl"],
            "the same file",
        ),
        (&["--speculate", head, "--engine", "echo"], "--engine echo"),
        (&["--speculate", model], "config.json"),
        (&["--speculate", "nowhere"], "nowhere"),
    ] {
        let mut command = Command::new(binary());
        command.current_dir(tmp.path()).args([
            "generate",
            "--model",
            model,
            "--input",
            "in.jsonl",
            "--output",
            "out.jsonl",
        ]);
        if !args.contains(&"--engine") {
            command.args(["--engine", "cpu"]);
        }
        command.args(args);
        let done = finish(command, LIMIT);
        assert_eq!(done.code(), Some(2), "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains(words), "{args:?}: {}", done.stderr);
        assert!(!tmp.path().join("d.jsonl").exists(), "{args:?}");
    }
}
