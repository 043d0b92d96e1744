//! How long the steps of an engine or of servers take, from a short run in which many samples come at once: batches of all
//! sizes as it fills and drains. Of this engine the steps themselves are measured, of servers and of an engine that drafts the
//! times of their samples.

use std::ffi::OsString;

use anyhow::{Context, Result};
use ossmark_predict::Model;

use super::asked::{Asked, option, short};
use super::runs::Runs;
use super::steps::steps;
use crate::generator::engine_plan::EnginePlan;
use crate::run::serving::Calibration;
use crate::terminal::progress;

/// The name of the run, and in it of the trace of its steps.
const NAME: &str = "00-calibration";
const TRACE: &str = "trace.json";
/// All samples are due in a moment.
const AT_ONCE_QPS: f64 = 10_000.0;
/// Of an engine so many times what it runs at once, so that its places are taken again; of servers, whose places are not
/// known, as many.
const TIMES: u32 = 2;
const OF_SERVERS: u32 = 512;

/// Makes the run and fits the model.
pub(super) fn calibrate(asked: &Asked, runs: &Runs) -> Result<Calibration> {
    let (engines, limits) = match &asked.plan.engine {
        EnginePlan::Model { devices, .. } => (devices.len(), Some(devices[0].limits())),
        EnginePlan::Http { settings, .. } => (settings.endpoints.len(), None),
        // Its script says all.
        EnginePlan::Echo(_) => (1, None),
    };
    let engines = u32::try_from(engines).unwrap_or(1).max(1);
    let samples = limits
        .as_ref()
        .map_or(OF_SERVERS, |(seqs, _)| seqs.end().saturating_mul(TIMES));
    let samples = samples.saturating_mul(engines).clamp(32, 4096);
    progress!("peak: how long steps take, from {samples} samples at once ...");
    let mut set = vec![("target_qps", AT_ONCE_QPS.to_string())];
    set.extend(short(1, u64::from(samples)));
    let (conf, trace) = (asked.conf_with(&set), runs.place(NAME).join(TRACE));
    // Of one that drafts a step gives several tokens, how many is not known of a step: it is seen from outside.
    let has_steps = limits.is_some() && asked.plan.engine.speculation().is_none();
    let more: Vec<OsString> = match has_steps {
        true => vec![option("--trace", &trace)],
        false => Vec::new(),
    };
    let made = runs.make(NAME, &conf, &more)?;
    let by_steps = match has_steps {
        true => Model::of_steps(&steps(&trace)?),
        false => None,
    };
    Calibration::of_rows(&made.rows, by_steps, limits, engines).with_context(|| {
        format!(
            "{}: no sample has two tokens that came apart, expected times from which those of steps follow; with --engine http \
             let servers stream (--http-stream on)",
            made.dir.display()
        )
    })
}
