//! Does what the plan says: has it put together, hands the main thread to LoadGen, and brings everything to an end.

use std::sync::atomic::Ordering::Relaxed;

use anyhow::Result;
use loadgen::Error;

use super::early_end::record_loadgen_faults;
use super::faults::FaultKind;
use super::plan::RunPlan;
use super::responder::Message;
use super::wiring::wire;
use crate::exit::{self, Outcome};
use crate::terminal::note;

/// Runs the plan to its verdict.
pub(crate) fn execute(plan: RunPlan) -> Result<Outcome> {
    let run = wire(plan)?;
    let test = loadgen::run(&run.loadgen, &run.sut, &run.library);
    run.finish.progress.done.store(true, Relaxed);
    let _ = run.messages.send(Message::End);
    let latencies = run.responder.join();
    let _ = run.display.join();
    run.finish.generator.shutdown();
    let test = match test {
        Ok(test) => test,
        Err(error @ (Error::LoadGen(_) | Error::NoLog { .. })) => {
            // LoadGen's static destructors would abort the process: see `exit_now`.
            note!("ossmark: {error}");
            exit::leave(2);
        }
        Err(error) => return Err(error.into()),
    };
    let faults = &run.finish.faults;
    record_loadgen_faults(faults, &test.faults);
    if latencies.is_err() {
        faults.record(FaultKind::Panic, None, || {
            "the responder panicked; its message is above".into()
        });
    }
    Ok(run.finish.finish(latencies.as_ref().ok(), false))
}
