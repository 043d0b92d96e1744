//! Recorded decode steps: the tokens and keys and values of steps that are launched kernel by kernel, whatever rows fill
//! a step up.

use ossmark_engine::executor::{
    BlockTable, Executor, InputToken, SampleSpec, StepPlan, StepSeq, StepTokens,
};
use ossmark_engine::{CudaSettings, KvDtype, LoadedModel, load_cuda};
use ossmark_protocol::Sampling;

use crate::drive::{Seq, run};
use crate::switches::switched;
use crate::tiny::Tiny;

fn model() -> Tiny {
    Tiny {
        window: 16,
        hidden: 32,
        experts: 4,
        heads: 8,
        kv_heads: 1,
        ..Tiny::default()
    }
}

fn load(dir: &std::path::Path, graphs: bool, kv: KvDtype) -> LoadedModel {
    let settings = switched(CudaSettings {
        memory_budget_bytes: Some(64 << 20),
        max_step_tokens: 600,
        max_seqs: 6,
        kv,
        graphs,
        // In check.rs.
        check: false,
        ..CudaSettings::default()
    });
    load_cuda(dir, &settings).unwrap_or_else(|e| panic!("{e}"))
}

/// Sequences that come and go, so that steps of every number of rows from 6 to 1 are pure decode.
fn tokens(exec: &mut dyn Executor, previous: bool) -> Vec<Vec<u32>> {
    let m = model();
    let prompt = |i: u64| {
        Tiny {
            seed: i,
            ..m.clone()
        }
        .prompt(1 + 4 * i as usize)
    };
    let mut seqs: Vec<Seq> = (0..6).map(|i| Seq::new(&prompt(i))).collect();
    run(exec, &mut seqs, 8, 5, false, previous);
    seqs.iter().map(|s| s.generated().to_vec()).collect()
}

/// One sequence of a step: where its blocks begin, 80 of them, the first position, the tokens from there on.
type Part<'a> = (u32, u32, &'a [u32]);

/// With logits, a step is launched kernel by kernel; without, a decode step is a recorded one.
fn step(exec: &mut dyn Executor, parts: &[Part<'_>], logits: bool) -> StepTokens {
    let seq = |(slot, (block, position, tokens)): (usize, &Part<'_>)| {
        let blocks = |from: u32| BlockTable {
            first_block: 0,
            blocks: (from..from + 40).collect(),
        };
        StepSeq {
            slot: slot as u32,
            start: *position,
            inputs: tokens.iter().map(|t| InputToken::Known(*t)).collect(),
            full: blocks(*block),
            window: blocks(block + 40),
            sample: Some(SampleSpec {
                sampling: Sampling::GREEDY,
                uniform: 0.0,
            }),
            want_logits: logits,
            ..StepSeq::default()
        }
    };
    let plan = StepPlan {
        seqs: parts.iter().enumerate().map(seq).collect(),
    };
    let step = exec.submit(plan).unwrap_or_else(|e| panic!("{e}"));
    exec.wait(step).unwrap_or_else(|e| panic!("{e}"))
}

mod cuda {
    use super::*;
    use crate::bench::has_cuda;

    #[test]
    fn the_same_tokens_for_every_number_of_rows() {
        if !has_cuda("graphs::cuda::the_same_tokens_for_every_number_of_rows") {
            return;
        }
        let dir = model().folder();
        for kv in [KvDtype::AsActivations, KvDtype::Fp8] {
            let mut launched = load(dir.path(), false, kv);
            let mut recorded = load(dir.path(), true, kv);
            assert_eq!(recorded.info.warnings, Vec::<String>::new());
            let expected = tokens(&mut *launched.executor, false);
            for previous in [false, true]
                .into_iter()
                .skip(usize::from(kv == KvDtype::Fp8))
            {
                let got = tokens(&mut *recorded.executor, previous);
                assert_eq!(
                    got, expected,
                    "{kv:?}, tokens from the step before: {previous}"
                );
            }
        }
    }

    /// Lengths that need one split of attention, then two; other sequences in between, in every filled-up size.
    #[test]
    fn long_contexts_and_other_sequences() {
        if !has_cuda("graphs::cuda::long_contexts_and_other_sequences") {
            return;
        }
        let dir = model().folder();
        let exec = &mut *load(dir.path(), true, KvDtype::AsActivations).executor;
        let prompt = model().prompt(515);
        step(exec, &[(0, 0, &prompt[..509])], true);
        let mut seen = Vec::new();
        for position in 509..515_u32 {
            let long: Part<'_> = (0, position, &prompt[position as usize..][..1]);
            let launched = step(exec, &[long], true);
            assert_eq!(
                step(exec, &[long], false).tokens,
                launched.tokens,
                "at {position}"
            );
            let n = [3, 5][position as usize % 2];
            let others: Vec<Part<'_>> = (0..n)
                .map(|i| {
                    (
                        80 + 80 * i,
                        position - 509,
                        &prompt[(position + i - 400) as usize..][..1],
                    )
                })
                .collect();
            let launched_others = step(exec, &others, true);
            let replayed = step(exec, &others, false);
            assert_eq!(
                replayed.tokens, launched_others.tokens,
                "{n} others at {position}"
            );
            seen.push((long, launched.logits));
        }
        // All keys and values are as they were.
        for (long, logits) in seen {
            assert!(step(exec, &[long], true).logits == logits, "at {}", long.1);
        }
    }
}

/// Prints the tokens and warnings; its parent sets up the trouble. Not a test of its own.
#[test]
#[ignore = "run by emulator::recordings_that_fail_are_done_without"]
fn child() {
    let dir = model().folder();
    let mut loaded = load(dir.path(), true, KvDtype::AsActivations);
    println!("WARNINGS: {:?}", loaded.info.warnings);
    println!("TOKENS: {:?}", tokens(&mut *loaded.executor, false));
}
