//! Drives an executor without the scheduler: blocks are handed out in order and never freed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use ossmark_engine::executor::{BlockTable, Executor, InputToken, SampleSpec, StepPlan, StepSeq};
use ossmark_engine::{CpuSettings, Dtype, load_cpu};
use ossmark_protocol::Sampling;

/// A fixture under the repository's `tests/fixtures`, or under `OSSMARK_FIXTURES` where the tests run away from where they
/// were built (.ci/gpu).
pub(crate) fn fixture(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("OSSMARK_FIXTURES") {
        return Path::new(&folder).join(name);
    }
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(name)
}

/// Settings that leave room for some short sequences.
pub(crate) fn settings(dtype: Dtype) -> CpuSettings {
    CpuSettings {
        dtype,
        memory_budget_bytes: Some(256 << 20),
        threads: Some(2),
        ..CpuSettings::default()
    }
}

/// An executor for a checkpoint.
pub(crate) fn load(dir: &Path, settings: &CpuSettings) -> Box<dyn Executor> {
    load_cpu(dir, settings)
        .unwrap_or_else(|e| panic!("{e}"))
        .executor
}

/// One sequence: what to run, and what came out.
#[derive(Clone, Default)]
pub(crate) struct Seq {
    pub(crate) tokens: Vec<u32>,
    pub(crate) prompt: usize,
    pub(crate) logits: Vec<f32>,
    done: usize,
    full: Vec<u32>,
    window: Vec<u32>,
}

impl Seq {
    pub(crate) fn new(prompt: &[u32]) -> Self {
        Self {
            tokens: prompt.to_vec(),
            prompt: prompt.len(),
            ..Self::default()
        }
    }

    pub(crate) fn generated(&self) -> &[u32] {
        &self.tokens[self.prompt..]
    }
}

/// Runs all sequences together until each has `new` greedy tokens. A step takes at most `chunk` inputs of a sequence.
/// With `previous`, generated tokens go back as `FromPrevious`.
pub(crate) fn run(
    exec: &mut dyn Executor,
    seqs: &mut [Seq],
    new: usize,
    chunk: usize,
    logits: bool,
    previous: bool,
) {
    let cap = exec.capacity();
    let mut free: VecDeque<u32> = (0..cap.n_blocks).collect();
    while seqs.iter().any(|s| s.tokens.len() < s.prompt + new) {
        let mut plan = StepPlan::default();
        let mut who = Vec::new();
        let mut room = cap.max_step_tokens as usize;
        for (i, s) in seqs.iter_mut().enumerate() {
            let n = (s.tokens.len() - s.done).min(chunk).min(room);
            if s.tokens.len() >= s.prompt + new || n == 0 {
                continue;
            }
            room -= n;
            let end = s.done + n;
            for table in [&mut s.full, &mut s.window] {
                while table.len() < end.div_ceil(cap.block_size as usize) {
                    table.push(free.pop_front().expect("the test's pool is large enough"));
                }
            }
            let first_seen = cap
                .window
                .map_or(0, |w| (s.done + 1).saturating_sub(w as usize));
            let behind = first_seen / cap.block_size as usize;
            let input = |p: usize| {
                if previous && p >= s.prompt {
                    InputToken::FromPrevious(i as u32)
                } else {
                    InputToken::Known(s.tokens[p])
                }
            };
            plan.seqs.push(StepSeq {
                slot: i as u32,
                start: s.done as u32,
                inputs: (s.done..end).map(input).collect(),
                full: BlockTable {
                    first_block: 0,
                    blocks: s.full.clone(),
                },
                window: BlockTable {
                    first_block: behind as u32,
                    blocks: s.window[behind..].to_vec(),
                },
                sample: (end == s.tokens.len()).then_some(SampleSpec {
                    sampling: Sampling::GREEDY,
                    uniform: 0.0,
                }),
                want_logits: logits,
                ..StepSeq::default()
            });
            s.done = end;
            who.push(i);
        }
        let step = exec.submit(plan).unwrap_or_else(|e| panic!("{e}"));
        let out = exec.wait(step).unwrap_or_else(|e| panic!("{e}"));
        for ((i, token), logits) in who.into_iter().zip(out.tokens).zip(out.logits) {
            seqs[i].logits.extend(logits);
            seqs[i].tokens.extend(token);
        }
    }
}

/// Greedy tokens and all logits of one prompt, alone.
pub(crate) fn alone(exec: &mut dyn Executor, prompt: &[u32], new: usize, chunk: usize) -> Seq {
    let mut seqs = [Seq::new(prompt)];
    run(exec, &mut seqs, new, chunk, true, false);
    let [seq] = seqs;
    seq
}

/// Rows of natural-log probabilities.
pub(crate) fn log_softmax(logits: &[f32], vocab: usize) -> Vec<f64> {
    let mut out = Vec::with_capacity(logits.len());
    for row in logits.chunks_exact(vocab) {
        let max = row
            .iter()
            .fold(f64::NEG_INFINITY, |m, x| m.max(f64::from(*x)));
        let sum: f64 = row.iter().map(|x| (f64::from(*x) - max).exp()).sum();
        out.extend(row.iter().map(|x| f64::from(*x) - max - sum.ln()));
    }
    out
}
