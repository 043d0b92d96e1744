//! Watches that the logs can still be written. LoadGen does not notice a full disk: its stream fails in silence, and
//! hours later there is half a log. A thread of its own tries a small write now and then and ends the run when it fails.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context, Result};
use crossbeam_channel::Sender;

use super::faults::FaultKind;
use super::metrics::Progress;
use super::responder::Message;

/// Enough for what LoadGen and the harness write at the end of a run.
const ROOM_BYTES: usize = 128 << 10;
const EVERY: Duration = Duration::from_secs(1);
/// Checking whether the run is over, between two writes.
const TICK: Duration = Duration::from_millis(50);

/// Starts the watch over `dir`.
pub(crate) fn watch(dir: &Path, progress: Arc<Progress>, responder: Sender<Message>) -> Result<()> {
    let probe = dir.join(".ossmark-room");
    std::thread::Builder::new()
        .name("disk".into())
        .spawn(move || {
            let mut next = EVERY;
            let mut waited = Duration::ZERO;
            while !progress.done.load(Relaxed) {
                if waited >= next {
                    next += EVERY;
                    if let Err(error) = try_room(&probe) {
                        let message = format!(
                            "no room for the logs: writing {} KiB to {} failed ({error}); free the disk and run again",
                            ROOM_BYTES >> 10,
                            probe.display()
                        );
                        let _ = responder.send(Message::Stop(FaultKind::Logs, message));
                        return;
                    }
                }
                std::thread::sleep(TICK);
                waited += TICK;
            }
        })
        .context("cannot start the disk thread")?;
    Ok(())
}

fn try_room(probe: &PathBuf) -> std::io::Result<()> {
    // Left by a run that was killed.
    let _ = std::fs::remove_file(probe);
    let write = || ossmark_files::create_new(probe)?.write_all(&[0; ROOM_BYTES]);
    let result = write();
    let _ = std::fs::remove_file(probe);
    result
}
