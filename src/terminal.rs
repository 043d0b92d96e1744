//! All that people read on standard output and standard error. Nothing else in ossmark prints (clippy sees to it).
//!
//! [`say!`] is one line on standard output, [`note!`] one on standard error, [`progress!`] one there that --quiet leaves out.
//! Whatever is in a line, it stays one line without control characters: names, messages and answers from outside reach a
//! terminal only as [`Escaped`] text.
//!
//! A standard output that is closed (`| head`) wants no more: what was asked for is done in silence, and the exit code is that
//! of the result. One that fails otherwise (a full disk) has lost what was printed: the work is done, then exit code 2.
//! Whatever happens to standard error never matters.
#![expect(clippy::disallowed_types, reason = "Bar is the door for all others")]

pub(crate) mod screen;
pub(crate) mod status;
pub(crate) mod text;

use std::fmt::Arguments;
use std::io::{self, ErrorKind, IsTerminal};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use ossmark_files::Escaped;

/// A line on standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::terminal::line_out(format_args!($($text)*)) };
}

/// A line on standard error.
macro_rules! note {
    ($($text:tt)*) => { $crate::terminal::line_err(format_args!($($text)*)) };
}

/// A line on standard error that says how far something is; none with --quiet.
macro_rules! progress {
    ($($text:tt)*) => { $crate::terminal::line_of_progress(format_args!($($text)*)) };
}

pub(crate) use {note, progress, say};

enum Stdout {
    Open,
    /// Its reader has gone.
    Closed,
    /// Why what was printed is lost.
    Broken(String),
}

static STDOUT: Mutex<Stdout> = Mutex::new(Stdout::Open);
/// An output file goes to standard output, and what people read to standard error.
static GIVEN_AWAY: AtomicBool = AtomicBool::new(false);
/// Results, warnings and errors only.
static QUIET: AtomicBool = AtomicBool::new(false);
/// What moves on standard error: taken away for as long as a line is written, so that none sticks to it.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
/// What a line with a command begins with.
const TO_PASTE: &str = "next: ";
/// Columns that a line has at least, however narrow the terminal says that it is.
const NARROWEST: usize = 40;
/// A pipe that does not block and is full, as some programs leave theirs, is tried again after this.
const AGAIN: Duration = Duration::from_millis(5);

/// [`say!`].
pub(crate) fn line_out(text: Arguments<'_>) {
    let is_terminal = handle::stdout().is_terminal();
    out(&format!(
        "{}\n",
        shown(&Escaped(text).to_string(), is_terminal)
    ));
}

/// [`note!`].
pub(crate) fn line_err(text: Arguments<'_>) {
    let is_terminal = handle::stderr().is_terminal();
    err(&format!(
        "{}\n",
        shown(&Escaped(text).to_string(), is_terminal)
    ));
}

/// On a terminal a line is broken between words; elsewhere it is one, for whoever searches it. So is what is there to be
/// pasted.
fn shown(line: &str, is_terminal: bool) -> String {
    if !is_terminal || line.starts_with(TO_PASTE) {
        return line.to_owned();
    }
    let columns = screen::line_columns().max(NARROWEST);
    text::wrapped(line, columns, text::hanging(line, columns)).join("\n")
}

/// [`progress!`].
pub(crate) fn line_of_progress(text: Arguments<'_>) {
    if !is_quiet() {
        line_err(text);
    }
}

/// --quiet, from here on.
pub(crate) fn be_quiet() {
    QUIET.store(true, Relaxed);
}

pub(crate) fn is_quiet() -> bool {
    QUIET.load(Relaxed)
}

/// A text of several lines on standard output, such as a report; the writer of the text has escaped what is in its lines.
pub(crate) fn page(text: &str) {
    for line in text.lines() {
        say!("{line}");
    }
}

/// A text for another program on standard output, as it is: nothing in it is from outside.
pub(crate) fn raw(text: &str) {
    out(text);
}

/// A message of several lines on standard error. All but the first are indented, so that a line end in a name from outside
/// does not make a line that looks like one of ours.
pub(crate) fn message(text: &str) {
    let mut lines = text.lines();
    note!("{}", lines.next().unwrap_or_default());
    for line in lines {
        match line.is_empty() {
            true => note!(""),
            false => note!("  {line}"),
        }
    }
}

fn out(text: &str) {
    if GIVEN_AWAY.load(Relaxed) {
        return err(text);
    }
    let mut stdout = STDOUT.lock().unwrap_or_else(PoisonError::into_inner);
    if !matches!(*stdout, Stdout::Open) {
        return;
    }
    match BARS.suspend(|| write_all(handle::stdout(), text.as_bytes())) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => *stdout = Stdout::Closed,
        Err(error) => *stdout = Stdout::Broken(error.to_string()),
    }
}

fn err(text: &str) {
    let _ = BARS.suspend(|| write_all(handle::stderr(), text.as_bytes()));
}

/// Straight to the descriptor: what a buffer holds when the process ends is lost without a word.
fn write_all(to: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => std::thread::sleep(AGAIN),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The only place that has them.
mod handle {
    #![expect(clippy::disallowed_methods, reason = "this is the door for all others")]

    pub(super) fn stdout() -> std::io::Stdout {
        std::io::stdout()
    }

    pub(super) fn stderr() -> std::io::Stderr {
        std::io::stderr()
    }
}

/// Why what was printed on standard output is lost, if it is.
pub(crate) fn stdout_error() -> Option<String> {
    match &*STDOUT.lock().unwrap_or_else(PoisonError::into_inner) {
        Stdout::Broken(why) => Some(format!(
            "standard output cannot be written: {why}; what was printed is lost, expected a place with room for it (or a pipe)"
        )),
        Stdout::Open | Stdout::Closed => None,
    }
}

/// Gives standard output to one output file; from here on people's text goes to standard error.
///
/// # Errors
///
/// It has been given away before.
pub(crate) fn take_stdout() -> Result<std::io::Stdout> {
    if GIVEN_AWAY.swap(true, Relaxed) {
        bail!("standard output is named by two options, expected one; give a file to the other");
    }
    Ok(handle::stdout())
}

/// A progress bar on standard error.
#[derive(Clone, Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// One that shows where standard error is a terminal; `template` is indicatif's.
    pub(crate) fn new(total: u64, template: &str) -> Self {
        let style = ProgressStyle::with_template(template);
        let bar = match is_quiet() {
            true => ProgressBar::hidden(),
            false => BARS.add(ProgressBar::new(total)),
        };
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_length(total);
        Self(bar)
    }

    /// One, where standard error is a terminal.
    pub(crate) fn on_terminal(total: u64, template: &str) -> Option<Self> {
        let terminal = handle::stderr().is_terminal();
        terminal.then(|| Self::new(total, template))
    }

    /// A line of one's own making, where standard error is a terminal.
    pub(crate) fn line() -> Option<Self> {
        Self::on_terminal(0, "{msg}")
    }

    pub(crate) fn message(&self, text: impl std::fmt::Display) {
        self.0.set_message(Escaped(text).to_string());
    }

    pub(crate) fn length(&self, total: u64) {
        self.0.set_length(total);
    }

    pub(crate) fn position(&self, done: u64) {
        self.0.set_position(done);
    }

    pub(crate) fn advance(&self) {
        self.0.inc(1);
    }

    /// What came before this says nothing about the pace.
    pub(crate) fn forget_pace(&self) {
        self.0.reset_eta();
    }

    /// Moves on its own.
    pub(crate) fn tick(&self, every: Duration) {
        self.0.enable_steady_tick(every);
    }

    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}
