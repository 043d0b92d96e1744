//! From a model on the device to an executor that is ready: kernels checked, decode steps recorded, and what was recorded
//! checked. Loading only.

use std::sync::Arc;

use super::check::{KernelCheck, check_head, check_kernels, check_recorded, check_recorded_rounds};
use super::driver::graphs;
use super::kernel_use::KernelUse;
use super::ops::CudaOps;
use super::select;
use super::settings::CudaSettings;
use super::thresholds::Thresholds;
use super::tune;
use crate::config::ModelConfig;
use crate::eagle3::{Head, LoadedHead, SpeculativeRunner};
use crate::executor::Executor;
use crate::load_error::LoadError;
use crate::runner::{ModelRunner, NotRecorded};

/// A draft head on the device.
pub(super) struct HeadParts<'a> {
    pub(super) loaded: &'a LoadedHead,
    pub(super) ops: CudaOps,
    pub(super) head: Head<CudaOps>,
}

/// What is ready, and what there is to say of it.
pub(super) struct Prepared {
    pub(super) executor: Box<dyn Executor>,
    pub(super) warnings: Vec<String>,
    pub(super) kernels: KernelUse,
    /// Bytes of the device's memory that are left.
    pub(super) free: u64,
}

/// Checks, then records what is left, then checks that.
pub(super) fn prepare(
    mut runner: ModelRunner<CudaOps>,
    head: Option<HeadParts<'_>>,
    config: &ModelConfig,
    settings: &CudaSettings,
) -> Result<Prepared, LoadError> {
    let (capacity, device) = (runner.capacity(), Arc::clone(&runner.ops().device));
    let CudaSettings { strict, .. } = *settings;
    let mut notes = Notes::default();
    notes.kernels.plain = settings.reference_kernels;
    notes.kernels.without = settings.without.iter().map(|k| k.to_string()).collect();
    let check = settings.check && !settings.reference_kernels;
    // What is recorded launches the best kernels.
    let record = settings.graphs && !settings.reference_kernels;
    let rows = capacity.max_step_tokens.min(capacity.max_seqs) as usize;
    let mut checked = None;
    if check {
        checked = check_kernels(&mut runner, config, &device, strict)?;
    }
    if settings.tune && !settings.reference_kernels {
        let chosen = tune::choose(&mut runner, config, settings)?;
        // Whatever it says goes through the same check as what was counted.
        if check && chosen.thresholds != Thresholds::counted(config) {
            let again = check_kernels(&mut runner, config, &device, strict)?;
            checked = checked.zip(again).map(|(one, other)| one.and(other));
        }
        notes.kernels.chosen = Some(chosen);
    }
    let before = device.free_bytes()?;
    let executor: Box<dyn Executor> = match head {
        None => {
            if record {
                let sizes = graphs::sizes(rows);
                notes.recorded(&sizes, runner.record(&sizes));
                if check && let Some(seen) = check_recorded(&mut runner, config)? {
                    notes.differs(seen, strict)?;
                    runner.forget();
                }
            }
            Box::new(runner)
        }
        // With a head a round is recorded, and no step without.
        Some(HeadParts { loaded, ops, head }) => {
            let mut runner =
                SpeculativeRunner::new(runner.into_parts(), (ops, head), loaded, capacity);
            if check {
                let of_head = check_head(&mut runner, config, &device, strict)?;
                checked = checked.zip(of_head).map(|(model, head)| model.and(head));
            }
            let span = 1 + capacity.draft_tokens as usize;
            let seqs = (capacity.max_step_tokens as usize / span).min(capacity.max_seqs as usize);
            // More new rows of a sequence are left to other kernels than those that were recorded.
            if record && seqs > 0 && span < select::MIN_PREFILL_ROWS {
                let sizes = graphs::sizes(seqs);
                notes.recorded(&sizes, runner.record(&sizes));
                if check && let Some(seen) = check_recorded_rounds(&mut runner, config)? {
                    notes.differs(seen, strict)?;
                    runner.forget();
                }
            }
            Box::new(runner)
        }
    };
    if let Some(checked) = checked {
        notes.checked(checked);
    }
    let free = device.free_bytes()?;
    let Notes {
        warnings,
        mut kernels,
    } = notes;
    kernels.recorded_bytes = before.saturating_sub(free);
    Ok(Prepared {
        executor,
        warnings,
        kernels,
        free,
    })
}

#[derive(Default)]
struct Notes {
    warnings: Vec<String>,
    kernels: KernelUse,
}

impl Notes {
    fn checked(&mut self, found: KernelCheck) {
        for left_out in &found.left_out {
            self.warnings.push(format!(
                "a kernel made for speed is left out, and others do its work, which is slower: {left_out}; `ossmark bench \
                 kernels` looks closer, --strict-kernels refuses instead"
            ));
        }
        self.kernels.compared = Some(found.results);
        self.kernels.error = found.error;
        self.kernels.left_out = found.left_out;
    }

    /// What came of recording these sizes.
    fn recorded(&mut self, sizes: &[usize], done: Result<(), NotRecorded>) {
        let kept = match done {
            Ok(()) => sizes,
            Err(NotRecorded { kept, error }) => {
                let which = match sizes[..kept].last() {
                    None => "decode steps".to_owned(),
                    Some(most) => format!("decode steps of more than {most} rows or rounds"),
                };
                self.warnings.push(format!(
                    "{which} are launched kernel by kernel, which is slower: they could not be recorded ({error})"
                ));
                &sizes[..kept]
            }
        };
        self.kernels.recorded = kept.to_vec();
    }

    /// Recorded steps are not what they were recorded from.
    fn differs(&mut self, seen: String, strict: bool) -> Result<(), LoadError> {
        if strict {
            return Err(LoadError::Cuda(format!(
                "{seen}; --no-graphs does without recorded steps"
            )));
        }
        self.warnings.push(format!(
            "decode steps are launched kernel by kernel, which is slower: {seen}; --strict-kernels refuses instead"
        ));
        self.kernels.recorded = Vec::new();
        Ok(())
    }
}
