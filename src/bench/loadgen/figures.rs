//! What `bench loadgen` has measured, as JSON and as a table.

use serde::Serialize;

use crate::cli::BenchLoadgenArgs;
use crate::terminal::say;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) server: ServerFigure,
    pub(super) offline: OfflineFigure,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) python: Option<PythonFigures>,
    pub(super) latency_20k_us: LatencyFigure,
    pub(super) record: RecordFigures,
    pub(super) http: HttpFigures,
}

/// The adapter beside itself with a record, as `run` leaves one; tests taken in turn. Rows that its writer could not take are
/// lost, and counted, in the tests of each kind together.
#[derive(Debug, Serialize)]
pub(super) struct RecordFigures {
    pub(super) server_qps: WithoutAndWith,
    pub(super) offline_samples_per_s: WithoutAndWith,
    pub(super) latency_20k_us: WithoutAndWith,
    pub(super) server_rows: Rows,
    pub(super) offline_rows: Rows,
    pub(super) rows_20k: Rows,
}

#[derive(Debug, Serialize)]
pub(super) struct WithoutAndWith {
    pub(super) off: f64,
    pub(super) on: f64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Rows {
    pub(super) written: u64,
    pub(super) lost: u64,
}

/// The HTTP generator with the echo engine behind `ossmark serve`, both on this machine: prompts and answers of 32 tokens,
/// without streaming. Latencies are means at 1,000 queries a second; `adapter` is that of an engine that answers at once.
#[derive(Debug, Serialize)]
pub(super) struct HttpFigures {
    pub(super) offline_requests_per_s: f64,
    pub(super) latency_1k_us: HttpLatency,
    pub(super) streams: StreamFigures,
}

/// Streamed answers of 128 tokens: at a token every 20 ms, 1,000 of them open, what a piece takes of the client's threads, in
/// microseconds of a processor; and as fast as the two on this machine can, 128 open, in Offline.
#[derive(Debug, Serialize)]
pub(super) struct StreamFigures {
    pub(super) pieces: u64,
    pub(super) piece_us: f64,
    pub(super) saturated_tokens_per_s: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct HttpLatency {
    pub(super) http: f64,
    pub(super) adapter: f64,
}

/// `qps` is the saturated completion rate; `valid` and `held_qps` are of the run at 300,000 offered.
#[derive(Debug, Serialize)]
pub(super) struct ServerFigure {
    pub(super) qps: f64,
    pub(super) valid: bool,
    pub(super) held_qps: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct OfflineFigure {
    pub(super) samples_per_s: f64,
}

/// The better of an answering worker thread and answering inside the call, for each scenario.
#[derive(Debug, Serialize)]
pub(super) struct PythonFigures {
    pub(super) server_qps: f64,
    pub(super) offline_samples_per_s: f64,
}

/// Mean latencies at 20,000 queries a second, each of the least disturbed of several tests taken in turn: on a shared
/// machine the mean of a test is mostly the time that the machine was somewhere else.
#[derive(Debug, Serialize)]
pub(super) struct LatencyFigure {
    pub(super) adapter: f64,
    pub(super) inline: f64,
}

impl std::ops::AddAssign for Rows {
    fn add_assign(&mut self, more: Self) {
        self.written += more.written;
        self.lost += more.lost;
    }
}

pub(super) fn print(report: &Report, args: &BenchLoadgenArgs) {
    say!(
        "LoadGen {}, {} tokens an answer, {} s a test",
        ::loadgen::LOADGEN_VERSION,
        args.tokens,
        args.seconds
    );
    say!(
        "{:<44} {:>14}",
        "Server, saturated, completed queries/s",
        thousands(report.server.qps)
    );
    say!(
        "{:<44} {:>14} {}",
        "Server, 300,000 queries/s offered",
        thousands(report.server.held_qps),
        if report.server.valid {
            "VALID"
        } else {
            "INVALID"
        }
    );
    say!(
        "{:<44} {:>14}",
        "Offline, samples/s",
        thousands(report.offline.samples_per_s)
    );
    let l = &report.latency_20k_us;
    say!(
        "{:<44} {:>14.1} (inline {:.1}, adapter {:.1})",
        "added latency at 20,000 queries/s, us",
        l.adapter - l.inline,
        l.inline,
        l.adapter
    );
    print_record(&report.record);
    say!(
        "{:<44} {:>14}",
        "Offline over HTTP, 32 tokens, requests/s",
        thousands(report.http.offline_requests_per_s)
    );
    let l = &report.http.latency_1k_us;
    say!(
        "{:<44} {:>14.1} (adapter {:.1}, http {:.1})",
        "added by HTTP at 1,000 queries/s, us",
        l.http - l.adapter,
        l.adapter,
        l.http
    );
    let s = &report.http.streams;
    say!(
        "{:<44} {:>14.2} (of {} pieces, 1,000 streams open)",
        "a piece of a stream, us of a processor",
        s.piece_us,
        thousands(s.pieces as f64)
    );
    say!(
        "{:<44} {:>14}",
        "streamed over HTTP, tokens/s",
        thousands(s.saturated_tokens_per_s)
    );
    if let Some(python) = &report.python {
        let row = |name, ours: f64, theirs: f64| {
            say!(
                "{:<44} {:>14} ({:.1}x)",
                name,
                thousands(theirs),
                ours / theirs
            );
        };
        row(
            "Python binding, Server, saturated",
            report.server.qps,
            python.server_qps,
        );
        row(
            "Python binding, Offline",
            report.offline.samples_per_s,
            python.offline_samples_per_s,
        );
    }
}

fn print_record(record: &RecordFigures) {
    let row = |name: &str, rates: &WithoutAndWith, rows: Rows| {
        say!(
            "{name:<44} {:>14} ({:.0}% of off; {} of {} rows lost)",
            thousands(rates.on),
            100.0 * rates.on / rates.off,
            rows.lost,
            rows.lost + rows.written
        );
    };
    row(
        "with a record: Server, saturated, queries/s",
        &record.server_qps,
        record.server_rows,
    );
    row(
        "with a record: Offline, samples/s",
        &record.offline_samples_per_s,
        record.offline_rows,
    );
    let l = &record.latency_20k_us;
    say!(
        "{:<44} {:>14.1} (off {:.1}, on {:.1}; {} of {} rows lost)",
        "added by a record at 20,000 queries/s, us",
        l.on - l.off,
        l.off,
        l.on,
        record.rows_20k.lost,
        record.rows_20k.lost + record.rows_20k.written
    );
}

fn thousands(x: f64) -> String {
    let digits = format!("{x:.0}");
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}
