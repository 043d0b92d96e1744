//! Before the engine answers anything: whether the kernels made for speed give, on this very device and with these weights,
//! what the reference ones give, and whether recorded steps give what launched ones do. A kernel that does not is left out:
//! others do its work. On the thread that loads the model.

use std::fmt::Debug;

use super::driver::Device;
use super::fast::KernelSet;
use super::kernel_use::LeftOut;
use super::measure::{MAX_ERROR, relative_error};
use super::ops::CudaOps;
use super::steps::{decode, lengths, prompts, steps};
use crate::config::ModelConfig;
use crate::eagle3::SpeculativeRunner;
use crate::executor::{ExecError, Executor, StepPlan};
use crate::load_error::LoadError;
use crate::runner::ModelRunner;

/// One layer of each kind: all others have their shapes.
const LAYERS: usize = 2;

/// What was found.
#[derive(Default)]
pub(super) struct KernelCheck {
    /// Results that were compared.
    pub(super) results: usize,
    /// Norm of the difference from the reference kernels' result, over its norm, where it is largest.
    pub(super) error: f64,
    /// What is not used from here on.
    pub(super) left_out: Vec<LeftOut>,
}

impl KernelCheck {
    /// With those of another one.
    pub(super) fn and(self, other: Self) -> Self {
        let mut left_out = self.left_out;
        left_out.extend(other.left_out);
        Self {
            results: self.results + other.results,
            error: self.error.max(other.error),
            left_out,
        }
    }
}

/// Compares, and leaves out of `device`'s kernels what disagrees, unless `strict`, which refuses. `None` when the pool is too
/// small for a single token.
pub(super) fn check_kernels(
    runner: &mut ModelRunner<CudaOps>,
    config: &ModelConfig,
    device: &Device,
    strict: bool,
) -> Result<Option<KernelCheck>, LoadError> {
    let capacity = runner.capacity();
    let Some(lengths) = lengths(config, &capacity) else {
        return Ok(None);
    };
    let steps = steps(&lengths, &capacity);
    let done = settle(device, &steps, strict, |step, found| {
        runner.compare(step, LAYERS, CudaOps::use_reference_kernels, found)
    });
    done.map(Some)
}

/// The same for a draft head, on the same steps.
pub(super) fn check_head(
    runner: &mut SpeculativeRunner<CudaOps>,
    config: &ModelConfig,
    device: &Device,
    strict: bool,
) -> Result<Option<KernelCheck>, LoadError> {
    let capacity = runner.capacity();
    let Some(lengths) = lengths(config, &capacity) else {
        return Ok(None);
    };
    let steps = steps(&lengths, &capacity);
    let done = settle(device, &steps, strict, |step, found| {
        runner.compare_head(step, CudaOps::use_reference_kernels, found)
    });
    done.map(Some)
}

/// Whether recorded decode steps give the tokens of launched ones; what was seen where they do not.
pub(super) fn check_recorded(
    runner: &mut ModelRunner<CudaOps>,
    config: &ModelConfig,
) -> Result<Option<String>, LoadError> {
    let capacity = runner.capacity();
    let Some(lengths) = lengths(config, &capacity) else {
        return Ok(None);
    };
    runner.run(prompts(&lengths, &capacity)).map_err(lost)?;
    let mut step = decode(&lengths, &capacity);
    // First, so that it finds nothing that the other has left.
    let replayed = runner.run(step.clone()).map(|done| done.tokens);
    for seq in &mut step.seqs {
        // With logits, a step is launched kernel by kernel.
        seq.want_logits = true;
    }
    let launched = runner.run(step).map_err(lost)?.tokens;
    Ok(recorded_otherwise(replayed, &launched))
}

/// The same for recorded rounds of a draft head.
pub(super) fn check_recorded_rounds(
    runner: &mut SpeculativeRunner<CudaOps>,
    config: &ModelConfig,
) -> Result<Option<String>, LoadError> {
    let capacity = runner.capacity();
    let Some(lengths) = lengths(config, &capacity) else {
        return Ok(None);
    };
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
    let replayed = round(false);
    let launched = round(true).map_err(lost)?;
    Ok(recorded_otherwise(replayed, &launched))
}

/// What was seen of a recorded step that is not the same launched, if it is not.
fn recorded_otherwise<T: Debug + PartialEq>(
    replayed: Result<T, ExecError>,
    launched: &T,
) -> Option<String> {
    let replayed = match replayed {
        Ok(tokens) if tokens == *launched => return None,
        Ok(tokens) => format!("gives the tokens {tokens:?}"),
        Err(error) => format!("fails ({error})"),
    };
    Some(format!(
        "a recorded decode step {replayed}, and the same step launched kernel by kernel gives {launched:?}: this is a fault of \
         ossmark or of the driver"
    ))
}

/// Gets an operation, and its results by the best kernels and by the reference ones.
type Seen<'a> = &'a mut dyn FnMut(&'static str, &[f32], &[f32]);

/// A result that is not the reference kernels'.
struct Wrong {
    op: &'static str,
    rows: usize,
    error: f64,
    /// Those that it is of; none when the reference kernels' own is no number.
    tried: KernelSet,
}

#[derive(Default)]
struct Comparison {
    results: usize,
    error: f64,
    wrong: Vec<Wrong>,
}

/// Compares until all agree, and leaves out what does not.
fn settle(
    device: &Device,
    steps: &[StepPlan],
    strict: bool,
    mut run: impl FnMut(&StepPlan, Seen<'_>) -> Result<(), ExecError>,
) -> Result<KernelCheck, LoadError> {
    let mut left_out = Vec::new();
    loop {
        let found = compare(device, steps, &mut run)?;
        let Some(wrong) = found.wrong.first() else {
            return Ok(KernelCheck {
                results: found.results,
                error: found.error,
                left_out,
            });
        };
        // Without a fast kernel there is nothing to leave out: each turn leaves out one more, so that there is an end.
        if strict || wrong.tried.is_empty() {
            return Err(disagreement(wrong));
        }
        for kernel in culprits(device, steps, wrong, &mut run)?.iter() {
            device.leave_out(device.left_out().with(kernel));
            left_out.push(LeftOut {
                kernel,
                operation: wrong.op,
                rows: wrong.rows,
                error: wrong.error,
            });
        }
    }
}

/// Of the kernels that a wrong result is of, the one without which the operation is right, or else all.
fn culprits(
    device: &Device,
    steps: &[StepPlan],
    wrong: &Wrong,
    run: &mut impl FnMut(&StepPlan, Seen<'_>) -> Result<(), ExecError>,
) -> Result<KernelSet, LoadError> {
    if wrong.tried.len() > 1 {
        let before = device.left_out();
        for kernel in wrong.tried.iter() {
            device.leave_out(before.with(kernel));
            let found = compare(device, steps, run);
            device.leave_out(before);
            if found?.wrong.iter().all(|w| w.op != wrong.op) {
                return Ok(KernelSet::default().with(kernel));
            }
        }
    }
    Ok(wrong.tried)
}

fn compare(
    device: &Device,
    steps: &[StepPlan],
    run: &mut impl FnMut(&StepPlan, Seen<'_>) -> Result<(), ExecError>,
) -> Result<Comparison, LoadError> {
    let mut found = Comparison::default();
    for step in steps.iter().filter(|step| !step.seqs.is_empty()) {
        let rows: usize = step.seqs.iter().map(|s| s.inputs.len()).sum();
        device.take_tried();
        let result = run(step, &mut |op, best, reference| {
            let error = relative_error(best, reference);
            let tried = match reference.iter().all(|x| x.is_finite()) {
                true => device.take_tried(),
                false => KernelSet::default(),
            };
            found.results += 1;
            found.error = found.error.max(error);
            if error.is_nan() || error > MAX_ERROR {
                let wrong = Wrong {
                    op,
                    rows,
                    error,
                    tried,
                };
                found.wrong.push(wrong);
            }
        });
        result.map_err(lost)?;
    }
    Ok(found)
}

fn disagreement(wrong: &Wrong) -> LoadError {
    let Wrong {
        op,
        rows,
        error,
        tried,
    } = wrong;
    if tried.is_empty() {
        return LoadError::Cuda(format!(
            "the plain kernels give no numbers, or not the same ones twice: {op} of a step of {rows} rows; the weights are \
             damaged, or this is a fault of ossmark or of the device"
        ));
    }
    LoadError::Cuda(format!(
        "the kernels made for speed do not give what the plain ones do: {op} of a step of {rows} rows differs by {error:.4} of \
         its size, expected at most {MAX_ERROR}; this is a fault of ossmark or of the device. `ossmark bench kernels` \
         looks closer, --plain-kernels computes without them, slowly"
    ))
}

fn lost(e: ExecError) -> LoadError {
    LoadError::Cuda(format!(
        "the check of the kernels failed: {e}; --plain-kernels computes without those made for speed, slowly, and \
         --without-kernels without some of them"
    ))
}
