//! Measures on the device at hand, with the weights at hand, which kernels are faster for how many rows, and keeps that for the
//! next start. Only kernels that agree with the plain ones are there to choose from. Loading only.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::driver::{Device, Event};
use super::kernel_use::{Chosen, ChosenFrom};
use super::ops::CudaOps;
use super::settings::CudaSettings;
use super::steps::of_rows;
use super::thresholds::{NEVER, Thresholds, TimedOp, TimedRows};
use super::tuned::{self, Key};
use crate::config::ModelConfig;
use crate::executor::{ExecError, Executor, StepPlan};
use crate::load_error::LoadError;
use crate::model::{Observer, Op, Scratch};
use crate::ops::OpResult;
use crate::runner::ModelRunner;

/// Rows of the steps that are timed, as far as the capacity allows.
const ROWS: [u32; 10] = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];
/// Passes for each median, besides one that loads code.
const PASSES: usize = 3;
/// Of the device's time. After so long nothing more is begun, and what was not measured is left as it was counted.
const LIMIT_MS: f64 = 10_000.0;

/// What the engines of this process have chosen.
static OF_PROCESS: Mutex<Vec<(Key, Thresholds)>> = Mutex::new(Vec::new());

/// Chooses, and sets the runner's operations to it: as an engine of this process has, as was kept, or by measuring.
pub(super) fn choose(
    runner: &mut ModelRunner<CudaOps>,
    config: &ModelConfig,
    settings: &CudaSettings,
) -> Result<Chosen, LoadError> {
    let (capacity, device) = (runner.capacity(), Arc::clone(&runner.ops().device));
    let most = (capacity.max_step_tokens, capacity.max_seqs);
    let with = (settings.overlap, device.left_out());
    let key = Key::new(device.info(), config, settings.kv, most, with);
    let file = settings.tune_cache.as_deref();
    let file = file.map(|folder| key.file(folder));
    // Held until there is a choice: one engine measures, the others find it.
    let mut of_process = OF_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = of_process.iter().find(|(other, _)| *other == key);
    let chosen = match known {
        Some((_, thresholds)) => Chosen::found(*thresholds, ChosenFrom::Process),
        None => {
            let chosen = kept_or_measured(runner, config, &key, file.as_deref())?;
            of_process.push((key, chosen.thresholds));
            chosen
        }
    };
    runner.ops_mut().thresholds = chosen.thresholds;
    Ok(chosen)
}

fn kept_or_measured(
    runner: &mut ModelRunner<CudaOps>,
    config: &ModelConfig,
    key: &Key,
    file: Option<&Path>,
) -> Result<Chosen, LoadError> {
    let mut notes = Vec::new();
    match file.map(|file| tuned::read(file, key)) {
        Some(Ok(Some(kept))) => return Ok(Chosen::found(kept, ChosenFrom::Cache)),
        Some(Err(why)) => notes.push(why),
        Some(Ok(None)) | None => {}
    }
    let began = Instant::now();
    let times = measure(runner).map_err(|e| {
        LoadError::Cuda(format!(
            "timing the kernels failed: {e}; --no-tune does without"
        ))
    })?;
    let chosen = Chosen {
        thresholds: Thresholds::chosen(Thresholds::counted(config), &times),
        from: ChosenFrom::Measured,
        seconds: began.elapsed().as_secs_f64(),
        times,
        notes,
    };
    // The next start measures again then: nothing that somebody has to do something about.
    let kept = file.map_or(Ok(()), |file| tuned::write(file, key, chosen.thresholds));
    Ok(match kept {
        Ok(()) => chosen,
        Err(why) => Chosen {
            notes: chosen.notes.into_iter().chain([why]).collect(),
            ..chosen
        },
    })
}

/// Whole passes over the model, as a step makes them, with all operations by the kernels for few rows and by those for many.
fn measure(runner: &mut ModelRunner<CudaOps>) -> Result<Vec<TimedRows>, ExecError> {
    let capacity = runner.capacity();
    let (mut times, mut spent_ms) = (Vec::new(), 0.0);
    for rows in ROWS {
        let Some(step) = of_rows(rows, &capacity) else {
            break;
        };
        let few = passes(runner, &step, Thresholds::all(NEVER), &mut spent_ms)?;
        let many = passes(runner, &step, Thresholds::all(1), &mut spent_ms)?;
        let (Some(few), Some(many)) = (few, many) else {
            break;
        };
        for (few, many) in few.into_iter().zip(many) {
            times.push(TimedRows {
                op: few.op,
                rows: few.rows,
                few_ms: few.ms,
                many_ms: many.ms,
            });
        }
    }
    Ok(times)
}

/// What an operation took in a pass, all layers together.
struct OpTime {
    op: TimedOp,
    rows: u32,
    ms: f64,
}

/// The median of several passes for each operation; `None` when there is no time left for them.
fn passes(
    runner: &mut ModelRunner<CudaOps>,
    step: &StepPlan,
    thresholds: Thresholds,
    spent_ms: &mut f64,
) -> Result<Option<Vec<OpTime>>, ExecError> {
    runner.ops_mut().thresholds = thresholds;
    let mut all: Vec<Vec<OpTime>> = Vec::new();
    for pass in 0..=PASSES {
        if *spent_ms > LIMIT_MS {
            return Ok(None);
        }
        let mut watch = Stopwatch::default();
        runner.observe(step, &mut watch)?;
        let device = &runner.ops().device;
        device.synchronize()?;
        let times = watch.times(device)?;
        *spent_ms += watch.whole_ms(device)?;
        if pass > 0 {
            all.push(times);
        }
    }
    let Some(mut medians) = all.pop() else {
        return Ok(None);
    };
    for (place, median) in medians.iter_mut().enumerate() {
        let mut of_op: Vec<f64> = all.iter().map(|times| times[place].ms).collect();
        of_op.push(median.ms);
        of_op.sort_by(f64::total_cmp);
        median.ms = of_op[of_op.len() / 2];
    }
    Ok(Some(medians))
}

/// Events around each operation of a pass that has a threshold.
#[derive(Default)]
struct Stopwatch(Vec<(TimedOp, usize, Event, Event)>);

impl Observer<CudaOps> for Stopwatch {
    fn op(
        &mut self,
        op: &Op<'_, CudaOps>,
        ops: &mut CudaOps,
        s: &mut Scratch<CudaOps>,
        rows: usize,
    ) -> OpResult {
        let timed = match op {
            Op::Qkv(_) => TimedOp::Qkv,
            Op::AttentionOut(_) => TimedOp::Out,
            Op::Router(_) => TimedOp::Router,
            Op::Experts(_) => TimedOp::Experts,
            Op::LmHead(_) => TimedOp::Head,
            Op::RopeKv(_) | Op::Attention(_) => return op.run(ops, s, rows),
        };
        let event = |d: &Device| d.event().map_err(|e| ExecError(e.to_string()));
        let (from, to) = (event(&ops.device)?, event(&ops.device)?);
        ops.device.record(&from)?;
        op.run(ops, s, rows)?;
        ops.device.record(&to)?;
        self.0.push((timed, rows, from, to));
        Ok(())
    }
}

impl Stopwatch {
    /// From the first operation to the last.
    fn whole_ms(&self, device: &Device) -> Result<f64, ExecError> {
        match (self.0.first(), self.0.last()) {
            (Some((_, _, from, _)), Some((_, _, _, to))) => {
                Ok(f64::from(device.elapsed_ms(from, to)?))
            }
            _ => Ok(0.0),
        }
    }

    /// In the order of [`TimedOp`]; the device has done all of them.
    fn times(&self, device: &Device) -> Result<Vec<OpTime>, ExecError> {
        let mut times = Vec::new();
        for op in TimedOp::ALL {
            let (mut ms, mut most_rows) = (0.0, 0);
            for (_, rows, from, to) in self.0.iter().filter(|(timed, ..)| *timed == op) {
                ms += f64::from(device.elapsed_ms(from, to)?);
                most_rows = *rows;
            }
            times.push(OpTime {
                op,
                rows: most_rows as u32,
                ms,
            });
        }
        Ok(times)
    }
}
