//! A point's summary: duration, counts, and what it says of itself against what follows from it. Facts: §4, §6.

use std::path::Path;

use crate::finding::Findings;
use crate::model::point::Point;
use crate::model::summary::Summary;
use crate::python;
use crate::regions::Regions;
use crate::rules::rules;
use crate::value::Value;

const ULTRA_LOW: i128 = 32;
const OFFICIAL: &str = "windowable";

pub(super) fn check(
    point: &Point,
    summary: &Summary,
    regions: Option<&Regions>,
    file: &Path,
    findings: &mut Findings,
) {
    if let Some(regions) = regions {
        duration(point, summary, regions, file, findings);
    }
    steady_state_basis(point, file, findings);
    queries(point, summary, file, findings);
    accounting(summary, file, findings);
    derived(point, summary, file, findings);
}

fn duration(
    point: &Point,
    summary: &Summary,
    regions: &Regions,
    file: &Path,
    findings: &mut Findings,
) {
    const MS_PER_S: f64 = 1000.0;
    const NS_PER_MS: f64 = 1e6;
    if regions.of(point.concurrency).is_none() {
        return;
    }
    let rules = &rules().points;
    let least = match (point.concurrency <= ULTRA_LOW, point.is_agentic()) {
        (true, _) => rules.min_duration_ms_ultra_low.value,
        (false, true) => rules.min_duration_ms_agentic.value,
        (false, false) => rules.min_duration_ms.value,
    };
    let window = point
        .steady_state
        .as_ref()
        .and_then(|block| block.window.duration_s);
    let (found, basis) = match window {
        Some(seconds) => (seconds * MS_PER_S, "the steady-state window"),
        None => (summary.duration_ns / NS_PER_MS, "the whole run"),
    };
    if found < least {
        findings.warning(
            "point-duration",
            file,
            format!("found {found} ms of {basis}, expected at least {least}"),
        );
    } else {
        findings.pass("point-duration", file, format!("{found} ms of {basis}"));
    }
}

fn steady_state_basis(point: &Point, file: &Path, findings: &mut Findings) {
    let Some(block) = &point.steady_state else {
        findings.warning(
            "steady-state-basis",
            file,
            "found no steady_state in point.yaml, so that the whole run counts",
        );
        return;
    };
    if block.status.as_deref() == Some(OFFICIAL) {
        findings.pass("steady-state-basis", file, "the window counts");
    } else {
        findings.warning(
            "steady-state-basis",
            file,
            format!(
                "found the status {:?}, so that the whole run counts; expected {OFFICIAL}",
                block.status
            ),
        );
    }
    if let Some(verdict @ ("drifting_up" | "drifting_down")) = block.verdict.as_deref() {
        findings.warning("steady-state-basis", file, format!("found the verdict {verdict}: what drifts is reported as a range, never as one figure"));
    }
}

fn queries(point: &Point, summary: &Summary, file: &Path, findings: &mut Findings) {
    let Some(least) = rules().datasets.get(&point.dataset) else {
        return;
    };
    if summary.completed < least.value {
        findings.error(
            "min-query-count",
            file,
            format!(
                "found {} queries completed, expected at least {} for {}",
                summary.completed, least.value, point.dataset
            ),
        );
    } else {
        findings.pass(
            "min-query-count",
            file,
            format!("{} completed", summary.completed),
        );
    }
}

fn accounting(summary: &Summary, file: &Path, findings: &mut Findings) {
    if summary.duration_ns <= 0.0 {
        findings.error(
            "metric-consistency-duration",
            file,
            format!(
                "found duration_ns {}, expected more than 0",
                summary.duration_ns
            ),
        );
    } else {
        findings.pass(
            "metric-consistency-duration",
            file,
            format!("{} ns", summary.duration_ns),
        );
    }
    if summary.issued > 0 {
        let ended = summary.completed.saturating_add(summary.failed);
        if ended == summary.issued {
            findings.pass(
                "metric-consistency-accounting",
                file,
                format!("{ended} issued"),
            );
        } else {
            findings.error(
                "metric-consistency-accounting",
                file,
                format!(
                    "found {} completed and {} failed, expected {} together",
                    summary.completed, summary.failed, summary.issued
                ),
            );
        }
    }
}

fn derived(point: &Point, summary: &Summary, file: &Path, findings: &mut Findings) {
    match summary.output_tokens() {
        Ok(tokens) if tokens < 0 => findings.error(
            "metric-consistency-output-tokens",
            file,
            format!("found {tokens} output tokens, expected at least 0"),
        ),
        Ok(tokens) => findings.pass(
            "metric-consistency-output-tokens",
            file,
            format!("{tokens} output tokens"),
        ),
        Err(why) => {
            findings.crash(
                file,
                format!("found {} output tokens ({why:?})", summary.output.total),
            );
            return;
        }
    }
    if let Ok(tps) = summary.system_tps() {
        match stored(summary.stored.system_tps.as_ref(), tps, file, findings) {
            Some(stored) => findings.error(
                "metric-consistency-system-tps",
                file,
                format!(
                    "found system_tps {stored}, expected {tps}: all output tokens over the duration"
                ),
            ),
            None => findings.pass(
                "metric-consistency-system-tps",
                file,
                format!("{tps} tokens/s"),
            ),
        }
    }
    per_user(point, summary, file, findings);
    match summary.interactivity() {
        None if summary.stored.interactivity.is_some() => findings.error("agentic-metric-consistency", file, "found e2e_avg_interactivity, and nothing to derive it from"),
        None => {}
        Some(expected) => match stored(summary.stored.interactivity.as_ref(), expected, file, findings) {
            Some(stored) => findings.error("agentic-metric-consistency", file, format!("found e2e_avg_interactivity {stored}, expected {expected}: all output tokens over all requests' time")),
            None => findings.pass("agentic-metric-consistency", file, format!("{expected} tokens/s")),
        },
    }
}

/// No latency is asked of a dedicated Offline run.
fn per_user(point: &Point, summary: &Summary, file: &Path, findings: &mut Findings) {
    const MS_PER_S: f64 = 1000.0;
    if point.is_dedicated() {
        findings.pass(
            "metric-consistency-tpot-p90",
            file,
            "not asked of a dedicated Offline run",
        );
        return;
    }
    let p90 = match summary.tpot_p90_ms() {
        Some(p90) if p90.is_finite() && p90 > 0.0 => p90,
        found => {
            findings.error("metric-consistency-tpot-p90", file, format!("found {found:?} ms for the TPOT's 90th percentile, expected a finite one above 0"));
            return;
        }
    };
    findings.pass("metric-consistency-tpot-p90", file, format!("{p90} ms"));
    let expected = MS_PER_S / p90;
    match stored(summary.stored.tps_per_user.as_ref(), expected, file, findings) {
        Some(stored) => findings.error("metric-consistency-tps-per-user", file, format!("found tps_per_user {stored}, expected {expected}: 1000 over the TPOT's 90th percentile in ms")),
        None => findings.pass("metric-consistency-tps-per-user", file, format!("{expected} tokens/s")),
    }
}

/// A stated figure that is not the derived one; a text that is no number ends the official checker.
fn stored(
    value: Option<&Value>,
    derived: f64,
    file: &Path,
    findings: &mut Findings,
) -> Option<f64> {
    let value = value?;
    match python::float(value) {
        Ok(stored) => is_off(stored, derived).then_some(stored),
        Err(why) => {
            findings.crash(
                file,
                format!("found {} for a figure ({why:?})", value.shown()),
            );
            None
        }
    }
}

/// By more than 1 %; NaN is not, as there.
pub(super) fn is_off(stored: f64, derived: f64) -> bool {
    const SMALLEST: f64 = 1e-9;
    let size = derived.abs();
    // As Python's max(): NaN stays where it comes first.
    let size = if SMALLEST > size { SMALLEST } else { size };
    (stored - derived).abs() / size > rules().metrics.tolerance.value
}
