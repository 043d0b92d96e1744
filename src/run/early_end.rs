//! The end of a run that has failed while LoadGen still sleeps, and what LoadGen's side of it reports.

use std::time::Duration;

use ossmark_rules::{Mode, Scenario};

use super::faults::{FaultKind, Faults};
use super::finish::Finish;
use super::plan::RunPlan;
use crate::exit;

/// A failed Server run is waited for when no more than this of its schedule remains.
const WORTH_WAITING: Duration = Duration::from_secs(5);
/// LoadGen's log thread writes every 10 ms.
const LOG_THREAD: Duration = Duration::from_millis(50);

/// How many samples LoadGen will issue, where that is known.
pub(super) fn expected_samples(plan: &RunPlan) -> Option<u64> {
    let rows = plan.prompts.len() as u64;
    let audited = plan.loadgen.audited().ok()?;
    (plan.mode != Mode::FindPeak).then(|| audited.expected_samples(rows, rows))
}

/// LoadGen sleeps until each scheduled Server query, and a test cannot be aborted. When a failed run has much of its
/// schedule left, the verdict is written and the process ends; its logs are cut off and labelled so.
pub(super) fn leave_early(finish: &Finish) {
    let plan = &finish.plan;
    if plan.scenario == Scenario::Offline {
        return;
    }
    let expected = expected_samples(plan);
    let schedule = expected.map(|n| n as f64 / plan.requested.target_qps().max(f64::MIN_POSITIVE));
    let remaining = schedule.map_or(f64::INFINITY, |s| {
        s - finish.started.elapsed().as_secs_f64()
    });
    if remaining <= WORTH_WAITING.as_secs_f64() {
        return;
    }
    std::thread::sleep(LOG_THREAD);
    record_loadgen_faults(&finish.faults, &loadgen::faults());
    let outcome = finish.finish(None, true);
    exit::leave(i32::from(outcome.code()));
}

/// What the binding noticed: tickets that were dropped, panics that it kept from C++.
pub(super) fn record_loadgen_faults(faults: &Faults, found: &loadgen::Faults) {
    let dropped = found.dropped_issued + found.dropped_streaming;
    if dropped > 0 {
        faults.record(
            FaultKind::DroppedTicket,
            found.first_dropped.map(|s| s as u64),
            || format!("samples dropped without an answer: {dropped}"),
        );
    }
    for panic in &found.panics {
        faults.record(FaultKind::Panic, None, || panic.clone());
    }
}
