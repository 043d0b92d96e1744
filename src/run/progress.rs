//! Progress on stderr: a bar on a terminal, a line now and then otherwise. Reads shared counters on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::metrics::Progress;
use crate::terminal::{Bar, note};

/// What the display is about.
pub(crate) struct Display {
    pub(crate) label: String,
    /// Samples expected, when that is known.
    pub(crate) expected: Option<u64>,
    /// Limits of p99 time to first token and time per output token, in nanoseconds; 0 where there are none.
    pub(crate) limits_ns: (u64, u64),
}

/// Without a terminal, one line per this time, so that hours of logs stay readable.
const LINE_EVERY: Duration = Duration::from_secs(10);
const BAR_EVERY: Duration = Duration::from_millis(200);

/// Starts the display; it ends soon after `progress.done`.
pub(crate) fn show(display: Display, progress: Arc<Progress>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("progress".into())
        .spawn(move || {
            let template = "{prefix} {wide_bar} {pos}/{len} {msg} {elapsed_precise}";
            match Bar::on_terminal(display.expected.unwrap_or(0), template) {
                Some(bar) => show_bar(&bar, &display, &progress),
                None => lines(&display, &progress),
            }
        })
}

fn show_bar(bar: &Bar, display: &Display, progress: &Progress) {
    bar.prefix(&display.label);
    let start = Instant::now();
    while !progress.done.load(Relaxed) {
        let issued = progress.issued.load(Relaxed);
        bar.length(display.expected.unwrap_or(issued).max(issued));
        bar.position(progress.completed.load(Relaxed));
        bar.message(describe(display, progress, start));
        std::thread::sleep(BAR_EVERY);
    }
    bar.end();
}

fn lines(display: &Display, progress: &Progress) {
    let start = Instant::now();
    let mut next = LINE_EVERY;
    while !progress.done.load(Relaxed) {
        if start.elapsed() >= next {
            next += LINE_EVERY;
            let (issued, completed) = (
                progress.issued.load(Relaxed),
                progress.completed.load(Relaxed),
            );
            let expected = display
                .expected
                .map_or(String::new(), |n| format!(" of {n}"));
            note!(
                "{} {:>5.0} s: {completed} completed, {issued}{expected} issued, {}",
                display.label,
                start.elapsed().as_secs_f64(),
                describe(display, progress, start)
            );
        }
        std::thread::sleep(BAR_EVERY);
    }
}

fn describe(display: &Display, progress: &Progress, start: Instant) -> String {
    let rate = progress.tokens.load(Relaxed) as f64 / start.elapsed().as_secs_f64().max(1e-3);
    let mut text = format!("{rate:.0} tokens/s");
    let p99 = |value: u64, limit: u64| {
        let limit = if limit == 0 {
            String::new()
        } else {
            format!(" (limit {:.0})", limit as f64 / 1e6)
        };
        format!("{:.2} ms{limit}", value as f64 / 1e6)
    };
    let (ttft, tpot) = (
        progress.p99_ttft_ns.load(Relaxed),
        progress.p99_tpot_ns.load(Relaxed),
    );
    if ttft > 0 {
        text += &format!(", p99 TTFT {}", p99(ttft, display.limits_ns.0));
    }
    if tpot > 0 {
        text += &format!(", p99 TPOT {}", p99(tpot, display.limits_ns.1));
    }
    text
}
