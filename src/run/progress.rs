//! Progress on stderr: a line that moves on a terminal, one now and then otherwise. Reads shared counters on a thread of its
//! own.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::metrics::Progress;
use crate::terminal::screen::line_columns;
use crate::terminal::status::Status;
use crate::terminal::{Bar, progress};

/// What the display is about.
pub(crate) struct Display {
    pub(crate) label: String,
    /// Samples expected, when that is known.
    pub(crate) expected: Option<u64>,
    /// Limits of p99 time to first token and time per output token, in nanoseconds, where the run is held against them.
    pub(crate) limits_ns: Option<(u64, u64)>,
}

/// Without a terminal, one line per this time, so that hours of logs stay readable.
const LINE_EVERY: Duration = Duration::from_secs(10);
const BAR_EVERY: Duration = Duration::from_millis(200);

/// Starts the display; it ends soon after `progress.done`.
pub(crate) fn show(display: Display, progress: Arc<Progress>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("progress".into())
        .spawn(move || match Bar::line() {
            Some(bar) => show_bar(&bar, &display, &progress),
            None => lines(&display, &progress),
        })
}

fn show_bar(bar: &Bar, display: &Display, progress: &Progress) {
    let start = Instant::now();
    while !progress.done.load(Relaxed) {
        let status = describe(display, progress, start.elapsed());
        bar.message(status.fit(line_columns()));
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
            progress!("{}", describe(display, progress, start.elapsed()).whole());
        }
        std::thread::sleep(BAR_EVERY);
    }
}

/// How far the run is. Percentiles are the 99th so far, limits stand behind them.
fn describe(display: &Display, progress: &Progress, elapsed: Duration) -> Status {
    let (completed, elapsed_s) = (progress.completed.load(Relaxed), elapsed.as_secs_f64());
    let expected = display
        .expected
        .map(|expected| expected.max(progress.issued.load(Relaxed)));
    let mut status = Status::new(&display.label, completed, expected);
    let rate = progress.tokens.load(Relaxed) as f64 / elapsed_s.max(1e-3);
    status.part(1, format!("{rate:.0} tok/s"));
    for (weight, name, value, limit) in [
        (
            3,
            "TTFT",
            &progress.p99_ttft_ns,
            display.limits_ns.map(|l| l.0),
        ),
        (
            2,
            "TPOT",
            &progress.p99_tpot_ns,
            display.limits_ns.map(|l| l.1),
        ),
    ] {
        let value = value.load(Relaxed);
        if value > 0 {
            let limit = limit.map_or(String::new(), |limit| format!("/{:.0}", limit as f64 / 1e6));
            status.part(weight, format!("{name} {}{limit} ms", milliseconds(value)));
        }
    }
    if let Some(expected) = expected {
        status.eta(4, elapsed_s, completed, expected.saturating_sub(completed));
    }
    status
}

/// Two digits of what is below ten.
fn milliseconds(ns: u64) -> String {
    match ns as f64 / 1e6 {
        ms if ms < 9.95 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(limits_ns: Option<(u64, u64)>, label: &str, columns: usize) -> String {
        let progress = Progress::default();
        progress.issued.store(490, Relaxed);
        progress.completed.store(483, Relaxed);
        progress.tokens.store(26_020, Relaxed);
        progress.p99_ttft_ns.store(20_400_000, Relaxed);
        progress.p99_tpot_ns.store(2_100_000, Relaxed);
        let display = Display {
            label: label.into(),
            expected: Some(1024),
            limits_ns,
        };
        describe(&display, &progress, Duration::from_secs(20)).fit(columns)
    }

    #[test]
    fn progress_in_the_columns_that_there_are() {
        let limits = Some((3_000_000_000, 80_000_000));
        let mut shown = String::new();
        for columns in [60, 80, 120] {
            for (limits, label) in [
                (limits, "server"),
                (limits, "interactive"),
                (None, "interactive accuracy"),
            ] {
                let text = text(limits, label, columns);
                assert!(text.chars().count() <= columns, "{columns}: {text}");
                shown += &format!("{columns:>3}|{text}\n");
            }
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../../tests/snapshots/prints");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("progress", shown));
    }

    #[test]
    fn limits_are_shown_where_the_run_has_them() {
        assert!(text(Some((3_000_000_000, 80_000_000)), "server", 80).contains("TTFT 20/3000 ms"));
        let without = text(None, "server accuracy", 80);
        assert!(without.contains("TTFT 20 ms"), "{without}");
    }
}
