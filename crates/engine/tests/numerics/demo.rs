//! The demo checkpoint over its own answers: the tight gate, because a trained model's router is not balanced on a knife's
//! edge.

use std::path::Path;

use ossmark_engine::Dtype;
use serde::Deserialize;

use crate::drive::{alone, load, log_softmax, settings};

#[derive(Deserialize)]
struct Answer {
    id: String,
    input_tokens: Vec<u32>,
    output_tokens: Vec<u32>,
    logprobs_f32: Vec<f64>,
    logprobs_bf16: Vec<f64>,
}

fn answers(dir: &Path) -> Vec<Answer> {
    let lines = std::fs::read_to_string(dir.join("golden.jsonl")).unwrap();
    lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

/// Log-probability of each output token, given all before it.
fn chosen(dir: &Path, dtype: Dtype, answers: &[Answer]) -> Vec<Vec<f64>> {
    let mut exec = load(dir, &settings(dtype));
    let vocab = exec.capacity().vocab_size as usize;
    let of = |a: &Answer| {
        let input = [&a.input_tokens[..], &a.output_tokens].concat();
        let odds = log_softmax(&alone(&mut *exec, &input, 1, 512).logits, vocab);
        let at = |(i, t): (usize, &u32)| odds[(a.input_tokens.len() - 1 + i) * vocab + *t as usize];
        a.output_tokens.iter().enumerate().map(at).collect()
    };
    answers.iter().map(of).collect()
}

fn mean_diff<'a>(a: impl Iterator<Item = &'a f64>, b: impl Iterator<Item = &'a f64>) -> f64 {
    let diffs: Vec<f64> = a.zip(b).map(|(a, b)| (a - b).abs()).collect();
    diffs.iter().sum::<f64>() / diffs.len() as f64
}

fn demo() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo")
}

#[test]
fn f32_answers_and_log_probabilities() {
    let (dir, answers) = (demo(), answers(&demo()));
    let mut exec = load(&dir, &settings(Dtype::F32));
    for a in &answers {
        let got = alone(&mut *exec, &a.input_tokens, a.output_tokens.len(), 512);
        assert_eq!(got.generated(), a.output_tokens, "{}", a.id);
    }
    let got = chosen(&dir, Dtype::F32, &answers);
    let worst = got
        .iter()
        .flatten()
        .zip(answers.iter().flat_map(|a| &a.logprobs_f32));
    let worst = worst.fold(0.0_f64, |w, (a, b)| w.max((a - b).abs()));
    println!("demo: f32 log-probabilities within {worst:.2e}");
    assert!(worst < 1e-3, "{worst}");
}

#[test]
fn bf16_moves_no_more_than_hugging_face() {
    let (dir, answers) = (demo(), answers(&demo()));
    let got = chosen(&dir, Dtype::Bf16, &answers);
    let exact = || answers.iter().flat_map(|a| &a.logprobs_f32);
    let ours = mean_diff(got.iter().flatten(), exact());
    let theirs = mean_diff(answers.iter().flat_map(|a| &a.logprobs_bf16), exact());
    println!(
        "demo: bf16 moves log-probabilities by {ours:.2e} on average, Hugging Face's by {theirs:.2e}"
    );
    assert!(ours <= 1.5 * theirs, "{ours} {theirs}");
}
