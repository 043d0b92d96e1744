//! The model against Hugging Face's `GptOssForCausalLM` (eager attention, CPU) on two random checkpoints.

use std::path::Path;

use ossmark_engine::Dtype;
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::drive::{Seq, alone, fixture, load, log_softmax, run, settings};

#[derive(Deserialize)]
struct Golden {
    id: String,
    input_tokens: Vec<u32>,
    greedy_f32: Vec<u32>,
}

#[derive(Deserialize)]
struct Floor {
    bf16_vs_f32_logprob_abs_diff: Vec<Spread>,
}

#[derive(Deserialize)]
struct Spread {
    mean: f64,
    p99: f64,
}

fn goldens(dir: &Path) -> Vec<(Golden, Vec<f32>)> {
    let logits = std::fs::read(dir.join("golden_logits_f32.safetensors")).unwrap();
    let logits = SafeTensors::deserialize(&logits).unwrap();
    let lines = std::fs::read_to_string(dir.join("golden.jsonl")).unwrap();
    let golden = |line: &str| {
        let g: Golden = serde_json::from_str(line).unwrap();
        let tensor = logits.tensor(&format!("logits.{}", g.id)).unwrap();
        let values = tensor
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect();
        (g, values)
    };
    lines.lines().map(golden).collect()
}

fn f32_matches(name: &str) {
    let dir = fixture("golden").join(name);
    let goldens = goldens(&dir);
    let mut exec = load(&dir, &settings(Dtype::F32));
    let vocab = exec.capacity().vocab_size as usize;
    let mut worst = 0.0_f64;
    for (g, expected) in &goldens {
        let got = alone(&mut *exec, &g.input_tokens, g.greedy_f32.len(), 512);
        assert_eq!(
            got.generated(),
            g.greedy_f32,
            "greedy tokens of {name}/{}",
            g.id
        );
        assert_eq!(got.logits.len(), expected.len(), "rows of {name}/{}", g.id);
        let (a, b) = (
            log_softmax(&got.logits, vocab),
            log_softmax(expected, vocab),
        );
        worst = a
            .iter()
            .zip(&b)
            .fold(worst, |w, (a, b)| w.max((a - b).abs()));
    }
    println!("golden {name}: f32 log-probabilities within {worst:.2e}");
    assert!(worst < 1e-3, "{worst}");
    // All together, tokens fed back on the device, must be the same.
    let mut seqs: Vec<Seq> = goldens
        .iter()
        .map(|(g, _)| Seq::new(&g.input_tokens))
        .collect();
    run(
        &mut *exec,
        &mut seqs,
        goldens[0].0.greedy_f32.len(),
        7,
        false,
        true,
    );
    for (seq, (g, _)) in seqs.iter().zip(&goldens) {
        assert_eq!(
            seq.generated(),
            g.greedy_f32,
            "batched greedy tokens of {name}/{}",
            g.id
        );
    }
}

#[test]
fn f32_a() {
    f32_matches("a");
}

#[test]
fn f32_b() {
    f32_matches("b");
}

/// Teacher-forced: the golden tokens are the input, so that one different choice does not spoil what follows.
fn bf16_is_as_close_as_hugging_face(name: &str) {
    let dir = fixture("golden").join(name);
    let floor: Floor =
        serde_json::from_slice(&std::fs::read(dir.join("noise_floor.json")).unwrap()).unwrap();
    let goldens = goldens(&dir);
    let mut exec = load(&dir, &settings(Dtype::Bf16));
    let vocab = exec.capacity().vocab_size as usize;
    let (mut diffs, mut floor_mean, mut floor_p99) = (Vec::new(), 0.0, 0.0_f64);
    for ((g, expected), f) in goldens.iter().zip(&floor.bf16_vs_f32_logprob_abs_diff) {
        let input = [&g.input_tokens[..], &g.greedy_f32].concat();
        let got = alone(&mut *exec, &input, 1, 512);
        let (a, b) = (
            log_softmax(&got.logits[..expected.len()], vocab),
            log_softmax(expected, vocab),
        );
        diffs.extend(a.iter().zip(&b).map(|(a, b)| (a - b).abs()));
        // The floor is given for each prompt: pooled, its mean is weighted by size.
        floor_mean += f.mean * expected.len() as f64;
        floor_p99 += f.p99 * expected.len() as f64;
    }
    let n = diffs.len() as f64;
    diffs.sort_unstable_by(f64::total_cmp);
    let (mean, p99) = (diffs.iter().sum::<f64>() / n, diffs[(n * 0.99) as usize]);
    let (floor_mean, floor_p99) = (floor_mean / n, floor_p99 / n);
    let max = diffs[diffs.len() - 1];
    println!(
        "golden {name}: bf16 mean {mean:.4} (floor {floor_mean:.4}), p99 {p99:.3} (floor {floor_p99:.3}), max {max:.2}"
    );
    assert!(mean <= 1.5 * floor_mean && p99 <= 2.0 * floor_p99);
}

#[test]
fn bf16_a() {
    bf16_is_as_close_as_hugging_face("a");
}

#[test]
fn bf16_b() {
    bf16_is_as_close_as_hugging_face("b");
}
