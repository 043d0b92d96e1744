//! How long the steps of an engine or of servers take, from a short run in which many samples come at once: batches of all
//! sizes as it fills and drains. Of this engine the steps themselves are measured, of servers and of an engine that drafts the
//! times of their samples.

use std::ffi::OsString;

use anyhow::{Context, Result};
use ossmark_predict::Model;
use ossmark_record::Row;

use super::asked::{Asked, option, short};
use super::runs::Runs;
use super::steps::steps;
use crate::generator::device::Device;
use crate::generator::engine_plan::EnginePlan;
use crate::run::serving::Calibration;
use crate::terminal::note;

/// The name of the run, and in it of the trace of its steps.
const NAME: &str = "00-calibration";
const TRACE: &str = "trace.json";
/// All samples are due in a moment.
const AT_ONCE_QPS: f64 = 10_000.0;
/// Of an engine so many times what it runs at once, so that its places are taken again; of servers, whose places are not
/// known, as many.
const TIMES: u32 = 2;
const OF_SERVERS: u32 = 512;
const SERVER_STEP_TOKENS: u32 = 8192;

/// Makes the run and fits the model.
pub(super) fn calibrate(asked: &Asked, runs: &Runs) -> Result<Calibration> {
    let (engines, limits) = match &asked.plan.engine {
        EnginePlan::Model { devices, .. } => (devices.len(), Some(limits(&devices[0]))),
        EnginePlan::Http { settings, .. } => (settings.endpoints.len(), None),
        // Its script says all.
        EnginePlan::Echo(_) => (1, None),
    };
    let engines = u32::try_from(engines).unwrap_or(1).max(1);
    let samples = limits.map_or(OF_SERVERS, |(max_seqs, _)| max_seqs.saturating_mul(TIMES));
    let samples = samples.saturating_mul(engines).clamp(32, 4096);
    note!("peak: how long steps take, from {samples} samples at once ...");
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
    let first: Vec<Row> = made
        .rows
        .iter()
        .filter(|row| row.engine == 0)
        .copied()
        .collect();
    let by_steps = match has_steps {
        true => Model::of_steps(&steps(&trace)?),
        false => None,
    };
    let model = by_steps.or_else(|| Model::of_samples(&first));
    let model = model.with_context(|| {
        format!(
            "{}: no sample has two tokens that came apart, expected times from which those of steps follow; with --engine http \
             let servers stream (--http-stream on)",
            made.dir.display()
        )
    })?;
    let (max_seqs, max_step_tokens) =
        limits.unwrap_or_else(|| (places(&first), SERVER_STEP_TOKENS));
    let answers = made
        .rows
        .iter()
        .map(|row| (row.sample_index, row.output_tokens));
    Ok(Calibration {
        model: Model {
            step_s: six_digits(model.step_s),
            prefill_token_s: six_digits(model.prefill_token_s),
            decode_row_s: six_digits(model.decode_row_s),
            context_s: six_digits(model.context_s),
        },
        max_seqs,
        max_step_tokens,
        engines,
        answers: answers.collect(),
    })
}

/// Sequences and tokens of a step.
fn limits(device: &Device) -> (u32, u32) {
    match device {
        Device::Cpu(settings) => (settings.max_seqs, settings.max_step_tokens),
        Device::Cuda(settings) => (settings.max_seqs, settings.max_step_tokens),
    }
}

/// How many samples a server had begun at once: where that was all of them, it may have places for more.
fn places(rows: &[Row]) -> u32 {
    let begun = |row: &Row| row.first_token_ns.map(|at| (at, 1_i64));
    let ended = |row: &Row| row.completed_ns.map(|at| (at, -1_i64));
    let mut changes: Vec<(i64, i64)> = rows.iter().filter_map(begun).collect();
    changes.extend(rows.iter().filter_map(ended));
    changes.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    if most >= rows.len() as i64 {
        return u32::MAX;
    }
    u32::try_from(most).unwrap_or(u32::MAX).max(1)
}

/// More than is measured, and few enough to be the same number when it is read from a text again.
pub(super) fn six_digits(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use ossmark_record::End;

    use super::*;

    fn row(first: i64, last: i64) -> Row {
        Row {
            request: 0,
            sample_index: 0,
            prompt_tokens: 1,
            output_tokens: 2,
            scheduled_ns: Some(0),
            issued_ns: Some(0),
            first_token_ns: Some(first),
            completed_ns: Some(last),
            end: End::Stop,
            engine: 0,
        }
    }

    #[test]
    fn places_are_those_that_were_taken_at_once() {
        assert_eq!(places(&[row(0, 5), row(5, 9), row(6, 7)]), 2);
        assert_eq!(places(&[row(0, 5), row(1, 5)]), u32::MAX);
        assert_eq!(places(&[]), u32::MAX);
        assert_eq!(six_digits(0.123_456_789), 0.123_457);
    }
}
