//! Tokens per second of the CPU engine's numerics alone, without scheduler: decode steps at one batch size.
//!
//! `cargo run --release -p ossmark-engine --example throughput -- DIR [BATCH] [PROMPT] [NEW]`
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "for whoever builds it"
)]

use std::path::Path;
use std::time::Instant;

use ossmark_engine::executor::{BlockTable, InputToken, SampleSpec, StepPlan, StepSeq};
use ossmark_engine::{CpuSettings, load_cpu};
use ossmark_protocol::Sampling;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |i: usize, default: u32| {
        args.get(i)
            .map_or(default, |a| a.parse().expect("a number"))
    };
    let (batch, prompt, new) = (number(2, 64), number(3, 40), number(4, 100));
    let dir = args.get(1).expect("a checkpoint's folder");
    let settings = CpuSettings {
        max_seqs: batch,
        max_step_tokens: batch * prompt,
        ..CpuSettings::default()
    };
    let model = load_cpu(Path::new(dir), &settings).unwrap_or_else(|e| panic!("{e}"));
    let mut exec = model.executor;
    eprintln!("{}", model.info.description);
    let cap = exec.capacity();
    let per_seq = (prompt + new).div_ceil(cap.block_size);
    let table = |first: u32| BlockTable {
        first_block: 0,
        blocks: (first..first + per_seq).collect(),
    };
    let sample = Some(SampleSpec {
        sampling: Sampling {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
        },
        uniform: 0.5,
    });
    let mut step = |start: u32, input: &dyn Fn(u32) -> Vec<InputToken>| {
        let seq = |slot: u32| {
            let (full, window) = (table(2 * slot * per_seq), table((2 * slot + 1) * per_seq));
            StepSeq {
                slot,
                start,
                inputs: input(slot),
                full,
                window,
                sample,
                want_logits: false,
                ..StepSeq::default()
            }
        };
        let handle = exec
            .submit(StepPlan {
                seqs: (0..batch).map(seq).collect(),
            })
            .unwrap_or_else(|e| panic!("{e}"));
        exec.wait(handle).unwrap_or_else(|e| panic!("{e}"));
    };
    let begin = Instant::now();
    let some = |slot: u32| {
        (0..prompt)
            .map(|p| InputToken::Known((7 * p + slot) % cap.vocab_size))
            .collect()
    };
    step(0, &some);
    let prefilled = begin.elapsed();
    for p in prompt..prompt + new - 1 {
        step(p, &|slot| vec![InputToken::FromPrevious(slot)]);
    }
    let decode = begin.elapsed() - prefilled;
    println!(
        "prefill {:.0} tokens/s; decode at batch {batch}, positions {prompt} to {}: {:.0} tokens/s, {:.2} ms a step",
        f64::from(batch * prompt) / prefilled.as_secs_f64(),
        prompt + new,
        f64::from(batch * (new - 1)) / decode.as_secs_f64(),
        decode.as_secs_f64() * 1e3 / f64::from(new - 1),
    );
}
