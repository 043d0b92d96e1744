//! Commands that start this program again, and what becomes of both at Ctrl-C and SIGTERM.
//!
//! The first signal is handed to the children, which end as they see fit; they are waited for, the rest of the command is
//! skipped, and the command ends with an error that says where things are (exit code 130). A second signal is handed on too,
//! and the third kills them. A child is in a process group of its own: a terminal's Ctrl-C reaches it once, from here.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::{INTERRUPTED, Interrupted};
use crate::terminal::{is_quiet, note};

static SIGNALS: AtomicU32 = AtomicU32::new(0);
/// The children that run now.
static CHILDREN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// From here on the signals no longer end this process by themselves.
pub(crate) fn listen() -> Result<()> {
    listen_for(|signal| match SIGNALS.fetch_add(1, SeqCst) {
        0 | 1 => forward(signal),
        _ => forward(Signal::KILL),
    })
}

/// Has a thread call `on_signal` at each SIGINT and SIGTERM, which from here on end nothing by themselves.
///
/// # Errors
///
/// The thread cannot be started, or not listen.
pub(crate) fn listen_for(mut on_signal: impl FnMut(Signal) + Send + 'static) -> Result<()> {
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
                loop {
                    let signal = tokio::select! {
                        _ = interrupt.recv() => Signal::INT,
                        _ = terminate.recv() => Signal::TERM,
                    };
                    on_signal(signal);
                }
            });
        })
        .context("cannot start the signal thread")?;
    Ok(())
}

fn forward(signal: Signal) {
    let children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
    for child in children.iter().filter_map(|id| Pid::from_raw(*id)) {
        let _ = kill_process(child, signal);
    }
}

/// Asks all children to end, as Ctrl-C would; the command goes on.
pub(crate) fn end_all() {
    forward(Signal::TERM);
}

/// For commands without children that end by themselves: the first signal ends the process, without files that were begun.
pub(crate) fn end_at_signal() -> Result<()> {
    listen_for(|_| {
        let left = LEFT.lock().map(|left| left.clone()).unwrap_or_default();
        note!("ossmark: {}", Interrupted(left.into_owned()));
        crate::exit::leave(i32::from(INTERRUPTED));
    })
}

/// What [`end_at_signal`] says.
static LEFT: Mutex<Cow<'static, str>> =
    Mutex::new(Cow::Borrowed("what was not finished was removed"));

/// Sets what [`end_at_signal`] says is left, and where.
pub(crate) fn set_interrupt_message(left: String) {
    if let Ok(mut place) = LEFT.lock() {
        *place = left.into();
    }
}

/// Whether a signal has come.
pub(crate) fn interrupted() -> bool {
    SIGNALS.load(SeqCst) > 0
}

/// [`Interrupted`] with `left`, once a signal has come.
///
/// # Errors
///
/// That one.
pub(crate) fn fail_if_interrupted(left: impl FnOnce() -> String) -> Result<()> {
    match interrupted() {
        true => Err(Interrupted(left()).into()),
        false => Ok(()),
    }
}

/// This program, to be started with other arguments; as quiet as this one is.
///
/// # Errors
///
/// Its file cannot be found.
pub(crate) fn this_program() -> Result<Command> {
    let file = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(file);
    if is_quiet() {
        command.arg("--quiet");
    }
    Ok(command)
}

/// Runs a child to its end, whatever signals come.
///
/// # Errors
///
/// It cannot be started.
pub(crate) fn status(command: &mut Command) -> std::io::Result<ExitStatus> {
    wait(&mut start(command)?)
}

/// [`status`], and what the child wrote to its standard output.
///
/// # Errors
///
/// It cannot be started, or not be read.
pub(crate) fn output(command: &mut Command) -> std::io::Result<(ExitStatus, Vec<u8>)> {
    let mut child = start(command.stdout(Stdio::piped()))?;
    let mut bytes = Vec::new();
    let read = match child.stdout.take() {
        Some(mut stdout) => stdout.read_to_end(&mut bytes),
        None => Ok(0),
    };
    let status = wait(&mut child)?;
    read?;
    Ok((status, bytes))
}

fn start(command: &mut Command) -> std::io::Result<Child> {
    let child = command.process_group(0).stdin(Stdio::null()).spawn()?;
    running(|children| children.insert(Pid::from_child(&child).as_raw_nonzero().get()));
    if interrupted() {
        // The signal came between the last look and the start; the others have it.
        let _ = kill_process(Pid::from_child(&child), Signal::INT);
    }
    Ok(child)
}

fn wait(child: &mut Child) -> std::io::Result<ExitStatus> {
    // The number is given up before the child is reaped, so that it never names a stranger.
    let pid = Pid::from_child(child);
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) =
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), options)
    {}
    running(|children| children.remove(&pid.as_raw_nonzero().get()));
    child.wait()
}

fn running(change: impl FnOnce(&mut BTreeSet<i32>) -> bool) {
    change(&mut CHILDREN.lock().unwrap_or_else(PoisonError::into_inner));
}
