//! Ctrl-C and SIGTERM. The first ends the run as a fault, with every open sample answered and the logs closed; the
//! second ends the process at once. Runs on a tokio thread, which never calls LoadGen.

use anyhow::Result;
use crossbeam_channel::Sender;
use rustix::process::Signal;

use super::faults::FaultKind;
use super::responder::Message;
use crate::children::listen_for;
use crate::exit;
use crate::terminal::note;

/// What shells report for a program that Ctrl-C ended.
const INTERRUPTED: i32 = exit::INTERRUPTED as i32;

/// Starts listening; from here on Ctrl-C no longer kills the process by itself.
pub(crate) fn listen(responder: Sender<Message>) -> Result<()> {
    let mut is_ending = false;
    listen_for(move |signal| {
        if is_ending {
            exit::leave(INTERRUPTED);
        }
        is_ending = true;
        let name = match signal {
            Signal::INT => "SIGINT",
            _ => "SIGTERM",
        };
        note!("ossmark: {name}: ending the run; again to end at once without logs");
        let what = format!("the run was interrupted by {name}");
        let _ = responder.send(Message::Stop(FaultKind::Interrupted, what));
    })
}
