//! Before the engine answers anything: whether the kernels made for speed give, on this very device and with these weights,
//! what the reference ones give, and whether recorded steps give what launched ones do. On the thread that loads the model.

use std::fmt::Debug;
use std::ops::Range;

use super::measure::{MAX_ERROR, relative_error};
use super::ops::CudaOps;
use super::select;
use crate::config::ModelConfig;
use crate::eagle3::SpeculativeRunner;
use crate::executor::{
    BlockTable, Capacity, ExecError, Executor, InputToken, SampleSpec, StepPlan, StepSeq,
};
use crate::load_error::LoadError;
use crate::runner::ModelRunner;
use ossmark_protocol::Sampling;

/// Lengths on either side of what the kernels' tiles are, besides one long prompt.
const SHORT: [u32; 7] = [1, 2, 5, 9, 15, 16, 33];

/// One layer of each kind: all others have their shapes.
const LAYERS: usize = 2;

/// What was found.
pub(super) struct KernelCheck {
    /// Results that were compared.
    pub(super) results: usize,
    /// Norm of the difference from the reference kernels' result, over its norm, where it is largest.
    pub(super) error: f64,
}

impl KernelCheck {
    /// Of several, unless one was not made.
    pub(super) fn all(checks: &[Option<Self>]) -> Option<Self> {
        let mut all = Self {
            results: 0,
            error: 0.0,
        };
        for check in checks {
            let check = check.as_ref()?;
            all.results += check.results;
            all.error = all.error.max(check.error);
        }
        Some(all)
    }
}

/// Compares; `None` when the pool is too small for a single token.
pub(super) fn check_kernels(
    runner: &mut ModelRunner<CudaOps>,
    config: &ModelConfig,
) -> Result<Option<KernelCheck>, LoadError> {
    let capacity = runner.capacity();
    let Some(lengths) = lengths(config, &capacity) else {
        return Ok(None);
    };
    let found = compare(&steps(&lengths, &capacity), |step, found| {
        runner.compare(step, LAYERS, CudaOps::use_reference_kernels, found)
    })?;
    let (replayed, launched) = tokens(runner, &lengths).map_err(lost)?;
    if replayed != launched {
        return Err(recorded_otherwise(&replayed, &launched));
    }
    Ok(Some(found))
}

/// The same for a draft head, on the same steps, and for rounds that were recorded.
pub(super) fn check_head(
    runner: &mut SpeculativeRunner<CudaOps>,
    config: &ModelConfig,
) -> Result<Option<KernelCheck>, LoadError> {
    let capacity = runner.capacity();
    let Some(lengths) = lengths(config, &capacity) else {
        return Ok(None);
    };
    let found = compare(&steps(&lengths, &capacity), |step, found| {
        runner.compare_head(step, CudaOps::use_reference_kernels, found)
    })?;
    let mut round = |launched: bool| {
        let mut step = decode(&lengths, &capacity);
        let budget = capacity.max_step_tokens as usize - lengths.len();
        for seq in &mut step.seqs {
            // As many as there is room for in the step.
            let drafts = (capacity.draft_tokens as usize).min(budget / lengths.len());
            seq.verify = vec![0.0; drafts];
            // With logits, a step is launched kernel by kernel.
            seq.want_logits = launched;
        }
        runner.comparing(|runner| {
            // Which leaves the states that the round begins with.
            runner.run(prompts(&lengths, &capacity))?;
            let done = runner.run(step)?;
            Ok::<_, ExecError>((done.tokens, done.drafts))
        })
    };
    let (replayed, launched) = (round(false).map_err(lost)?, round(true).map_err(lost)?);
    if replayed != launched {
        return Err(recorded_otherwise(&replayed, &launched));
    }
    Ok(Some(found))
}

fn recorded_otherwise(replayed: &impl Debug, launched: &impl Debug) -> LoadError {
    LoadError::Cuda(format!(
        "a recorded decode step gives the tokens {replayed:?}, and the same step launched kernel by kernel {launched:?}: this \
         is a fault of ossmark or of the driver; --no-graphs does without recorded steps"
    ))
}

/// Kernels and their tiles differ with the number of rows.
fn steps(lengths: &[u32], capacity: &Capacity) -> [StepPlan; 4] {
    let half: Vec<u32> = lengths.iter().map(|n| n.div_ceil(2)).collect();
    let few = &lengths[lengths.len().min(1)..lengths.len().min(5)];
    [
        prompts(lengths, capacity),
        decode(lengths, capacity),
        prompts(&half, capacity),
        prompts(few, capacity),
    ]
}

/// Gets an operation, and its results by the best kernels and by the reference ones.
type Seen<'a> = &'a mut dyn FnMut(&'static str, &[f32], &[f32]);

fn compare(
    steps: &[StepPlan],
    mut run: impl FnMut(&StepPlan, Seen<'_>) -> Result<(), ExecError>,
) -> Result<KernelCheck, LoadError> {
    let mut found = KernelCheck {
        results: 0,
        error: 0.0,
    };
    let mut first_wrong = None;
    for step in steps.iter().filter(|step| !step.seqs.is_empty()) {
        let rows: usize = step.seqs.iter().map(|s| s.inputs.len()).sum();
        let result = run(step, &mut |op, best, reference| {
            let error = relative_error(best, reference);
            found.results += 1;
            found.error = found.error.max(error);
            if error.is_nan() || error > MAX_ERROR {
                first_wrong.get_or_insert((op, rows, error));
            }
        });
        result.map_err(lost)?;
    }
    if let Some((op, rows, error)) = first_wrong {
        return Err(LoadError::Cuda(format!(
            "the kernels made for speed do not give what the plain ones do: {op} of a step of {rows} rows differs by {error:.4} of \
             its size, expected at most {MAX_ERROR}; this is a fault of ossmark or of the device. `ossmark bench kernels` \
             looks closer, --plain-kernels computes without them, slowly"
        )));
    }
    Ok(found)
}

fn lost(e: ExecError) -> LoadError {
    LoadError::Cuda(format!(
        "the check of the kernels failed: {e}; --plain-kernels computes without those made for speed, slowly"
    ))
}

/// What follows a token after each prompt, by a step that is replayed where there are recordings, and by one that never is.
type Tokens = (Vec<Option<u32>>, Vec<Option<u32>>);

fn tokens(runner: &mut ModelRunner<CudaOps>, lengths: &[u32]) -> Result<Tokens, ExecError> {
    let capacity = runner.capacity();
    runner.run(prompts(lengths, &capacity))?;
    let mut step = decode(lengths, &capacity);
    // First, so that it finds nothing that the other has left.
    let replayed = runner.run(step.clone())?.tokens;
    for seq in &mut step.seqs {
        seq.want_logits = true;
    }
    Ok((replayed, runner.run(step)?.tokens))
}

/// Prompts, the longest first: enough rows in one step for every kind of kernel, as far as the limits allow.
fn lengths(config: &ModelConfig, capacity: &Capacity) -> Option<Vec<u32>> {
    // A token and drafted ones come behind each.
    let behind = 1 + capacity.draft_tokens;
    let max = match capacity.max_context.saturating_sub(behind) {
        0 if capacity.draft_tokens > 0 => return None,
        n => n.max(1),
    };
    let short = SHORT.iter().take(capacity.max_seqs as usize - 1);
    let short: Vec<u32> = short.map(|n| *n.min(&max)).collect();
    let rows = select::rows_for_all(config) as u32 + 1;
    // Beyond the window, too.
    let long = rows.saturating_sub(short.iter().sum());
    let long = long.max(capacity.window.map_or(1, |w| w + 9)).min(max);
    let mut lengths = vec![long];
    lengths.extend(short);
    loop {
        let tables = u32::from(capacity.has_full) + u32::from(capacity.window.is_some());
        let blocks: u32 = lengths.iter().map(|n| blocks(*n, capacity) * tables).sum();
        if blocks <= capacity.n_blocks && lengths.iter().sum::<u32>() <= capacity.max_step_tokens {
            return Some(lengths);
        }
        if lengths[0] > SHORT[SHORT.len() - 1] {
            lengths[0] = lengths[0] * 3 / 4;
        } else if lengths.len() > 1 {
            lengths.pop();
        } else if lengths[0] > 1 {
            lengths[0] -= 1;
        } else {
            return None;
        }
    }
}

/// For a prompt, a token after it and drafted ones.
fn blocks(length: u32, capacity: &Capacity) -> u32 {
    (length + 1 + capacity.draft_tokens).div_ceil(capacity.block_size)
}

fn prompts(lengths: &[u32], capacity: &Capacity) -> StepPlan {
    plan(lengths, capacity, |n| 0..n)
}

fn decode(lengths: &[u32], capacity: &Capacity) -> StepPlan {
    plan(lengths, capacity, |n| n..n + 1)
}

/// A step with these positions of prompts of these lengths.
fn plan(lengths: &[u32], capacity: &Capacity, part: fn(u32) -> Range<u32>) -> StepPlan {
    let mut next = 0;
    let mut table = |wanted: bool, length: u32| {
        let n = if wanted { blocks(length, capacity) } else { 0 };
        next += n;
        BlockTable {
            first_block: 0,
            blocks: (next - n..next).collect(),
        }
    };
    // Some token, another one at each place.
    let token = |slot: u32, position: u32| {
        InputToken::Known(
            (position + 1)
                .wrapping_mul(7919)
                .wrapping_add(slot * 104_729)
                % capacity.vocab_size,
        )
    };
    let seq = |(slot, length): (u32, &u32)| StepSeq {
        slot,
        start: part(*length).start,
        inputs: part(*length).map(|p| token(slot, p)).collect(),
        full: table(capacity.has_full, *length),
        window: table(capacity.window.is_some(), *length),
        sample: Some(SampleSpec {
            sampling: Sampling::GREEDY,
            uniform: 0.0,
        }),
        want_logits: false,
        ..StepSeq::default()
    };
    StepPlan {
        seqs: (0..).zip(lengths).map(seq).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(n_blocks: u32, max_seqs: u32, max_step_tokens: u32, max_context: u32) -> Capacity {
        Capacity {
            n_blocks,
            block_size: 16,
            window: Some(128),
            has_full: true,
            max_step_tokens,
            max_seqs,
            max_context,
            vocab_size: 100,
            draft_tokens: 0,
        }
    }

    #[test]
    fn lengths_keep_every_limit() {
        let c = crate::weights::gpt_oss_120b();
        let all = lengths(&c, &capacity(1000, 256, 4096, 4096)).unwrap();
        assert_eq!(all.len(), 8);
        assert!(all.iter().sum::<u32>() as usize > select::rows_for_all(&c));
        assert!(all[0] > 128);
        for (n, seqs, step, context) in [
            (2, 1, 1, 1),
            (3, 4, 512, 40),
            (40, 3, 20, 64),
            (16, 8, 512, 9),
        ] {
            let capacity = capacity(n, seqs, step, context);
            let found = lengths(&c, &capacity).unwrap();
            assert!(found.len() <= seqs as usize);
            assert!(found.iter().sum::<u32>() <= step);
            assert!(found.iter().map(|n| 2 * blocks(*n, &capacity)).sum::<u32>() <= n);
            assert!(found.iter().all(|n| *n >= 1 && *n <= context));
        }
        assert_eq!(lengths(&c, &capacity(1, 4, 512, 512)), None);
    }
}
