//! Ctrl-C and SIGTERM. The first ends the run as a fault, with every open sample answered and the logs closed; the
//! second ends the process at once. Runs on a tokio thread, which never calls LoadGen.

use anyhow::{Context, Result};
use crossbeam_channel::Sender;
use ossmark_files::abandon_parts;
use tokio::signal::unix::{SignalKind, signal};

use super::faults::FaultKind;
use super::responder::Message;
use crate::terminal::note;

/// What shells report for a program that Ctrl-C ended.
const INTERRUPTED: i32 = crate::exit::INTERRUPTED as i32;

/// Starts listening; from here on Ctrl-C no longer kills the process by itself.
pub(crate) fn listen(responder: Sender<Message>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the signal thread")?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    drop(guard);
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
                let first = tokio::select! { _ = interrupt.recv() => "SIGINT", _ = terminate.recv() => "SIGTERM" };
                note!("ossmark: {first}: ending the run; again to end at once without logs");
                let _ = responder.send(Message::Stop(FaultKind::Interrupted, format!("the run was interrupted by {first}")));
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} };
                abandon_parts();
                ossmark_loadgen::exit_now(INTERRUPTED);
            });
        })
        .context("cannot start the signal thread")?;
    Ok(())
}
