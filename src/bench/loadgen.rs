//! `ossmark bench loadgen`: what the harness itself can take, with LoadGen's Python binding beside it in the same run.
//! LoadGen allows one test a process, so every figure comes from a process of its own.

mod figures;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use ossmark_files::make_directories;
use ossmark_record::Record;
use serde_json::Value;

use self::figures::{
    HttpFigures, HttpLatency, LatencyFigure, OfflineFigure, PythonFigures, RecordFigures, Report,
    Rows, ServerFigure, StreamFigures, WithoutAndWith, print,
};
use super::child::{HTTP_COST, HttpCost};
use super::server::EchoServer;
use crate::children;
use crate::cli::BenchLoadgenArgs;
use crate::exit::Outcome;
use crate::output;
use crate::run::logs;
use crate::terminal::{progress, say};

/// LoadGen's Python binding doing the same.
const PYTHON_SUT: &str = include_str!("null_sut.py");
/// Offered Server load that nothing here can take: the completion rate is then the rate that saturates.
const SATURATING_QPS: f64 = 600_000.0;
/// The load that the harness is built to hold.
const HELD_QPS: f64 = 300_000.0;
/// The load at which the adapter's own latency is looked at.
const LATENCY_QPS: f64 = 20_000.0;
/// Tests of each kind at that load, and tests whose median is a rate (odd).
const LATENCY_TESTS: usize = 5;
const RATE_TESTS: usize = 3;
/// Offline samples a second of assumed speed: sets how many samples a test has.
const OFFLINE_QPS: f64 = 1_000_000.0;
const HTTP_OFFLINE_QPS: f64 = 10_000.0;
const HTTP_LATENCY_QPS: f64 = 1_000.0;
/// Of prompts and answers over HTTP.
const HTTP_TOKENS: u32 = 32;
/// Streamed answers: their tokens, the time between two of them, and the queries a second by which 1,000 are open.
const STREAM_TOKENS: u32 = 128;
const STREAM_TPOT_MS: f64 = 20.0;
const STREAM_QPS: f64 = 1_000.0 / (STREAM_TOKENS as f64 * STREAM_TPOT_MS / 1e3);
/// No time at all would make one piece of all tokens.
const SATURATING_TPOT_MS: f64 = 0.001;
const STREAM_OFFLINE_QPS: f64 = 1_000.0;

#[derive(Clone, Copy, PartialEq)]
enum SutKind {
    Adapter,
    Recorded,
    Inline,
    PythonWorker,
    PythonInline,
    Http,
    HttpStream,
}

impl SutKind {
    fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::HttpStream)
    }
}

struct Bench<'a> {
    args: &'a BenchLoadgenArgs,
    dir: PathBuf,
    /// Tests that logged errors, with the first error.
    errors: Vec<String>,
    /// The server of the HTTP tests, while it runs.
    endpoint: Option<String>,
}

struct Test {
    valid: bool,
    rate: f64,
    mean_latency_us: f64,
    rows: Rows,
    http: HttpCost,
}

pub(crate) fn run(args: &BenchLoadgenArgs) -> Result<Outcome> {
    let temporary = tempfile::tempdir().context("cannot make a temporary directory")?;
    children::listen()?;
    let claimed = match &args.output {
        Some(dir) => Some(output::claim_directory(dir, args.force)?.make_room()?),
        None => None,
    };
    let dir = claimed
        .as_ref()
        .map_or(temporary.path(), |(_, dir)| dir)
        .to_owned();
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let mut bench = Bench {
        args,
        dir,
        errors: Vec::new(),
        endpoint: None,
    };
    let (server, server_on, server_rows) = bench.pair("server-saturated", true, SATURATING_QPS)?;
    let python_server = bench.python("server", true, SATURATING_QPS)?;
    let held = bench.test("server-300k", SutKind::Adapter, true, HELD_QPS)?;
    let (latency, recorded, rows_20k) = bench.latency()?;
    let (offline, offline_on, offline_rows) = bench.pair("offline", false, OFFLINE_QPS)?;
    let python_offline = bench.python("offline", false, OFFLINE_QPS)?;
    let http = bench.http()?;
    let report = Report {
        server: ServerFigure {
            qps: server,
            valid: held.valid,
            held_qps: held.rate,
        },
        offline: OfflineFigure {
            samples_per_s: offline,
        },
        python: python_server
            .zip(python_offline)
            .map(|(server_qps, offline_samples_per_s)| PythonFigures {
                server_qps,
                offline_samples_per_s,
            }),
        record: RecordFigures {
            server_qps: WithoutAndWith {
                off: server,
                on: server_on,
            },
            offline_samples_per_s: WithoutAndWith {
                off: offline,
                on: offline_on,
            },
            latency_20k_us: WithoutAndWith {
                off: latency.adapter,
                on: recorded,
            },
            server_rows,
            offline_rows,
            rows_20k,
        },
        latency_20k_us: latency,
        http,
    };
    print(&report, args);
    for error in &bench.errors {
        say!("error: {error}");
    }
    if let Some(file) = &mut json_file {
        file.write_json(&report)?;
    }
    Ok(if bench.errors.is_empty() {
        Outcome::Good
    } else {
        Outcome::NotGood
    })
}

impl Bench<'_> {
    /// The median rate of some tests.
    fn rate(&mut self, name: &str, who: SutKind, server: bool, qps: f64) -> Result<f64> {
        let mut rates = Vec::new();
        for n in 1..=RATE_TESTS {
            rates.push(self.test(&format!("{name}-{n}"), who, server, qps)?.rate);
        }
        Ok(median(rates))
    }

    /// The median rates of some tests without a record and with one, in turn, and what became of the rows.
    fn pair(&mut self, name: &str, server: bool, qps: f64) -> Result<(f64, f64, Rows)> {
        let (mut off, mut on, mut rows) = (Vec::new(), Vec::new(), Rows::default());
        for n in 1..=RATE_TESTS {
            let mut test = |who, name: &str| self.test(&format!("{name}-{n}"), who, server, qps);
            off.push(test(SutKind::Adapter, name)?.rate);
            let recorded = test(SutKind::Recorded, &format!("{name}-record"))?;
            on.push(recorded.rate);
            rows += recorded.rows;
        }
        Ok((median(off), median(on), rows))
    }

    /// Mean latencies; the last two with a record, and what became of its rows.
    fn latency(&mut self) -> Result<(LatencyFigure, f64, Rows)> {
        let (mut adapter, mut inline, mut recorded) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows = Rows::default();
        for n in 1..=LATENCY_TESTS {
            let mut test =
                |who, name| self.test(&format!("latency-{name}-{n}"), who, true, LATENCY_QPS);
            adapter.push(test(SutKind::Adapter, "adapter")?.mean_latency_us);
            inline.push(test(SutKind::Inline, "inline")?.mean_latency_us);
            let test = test(SutKind::Recorded, "record")?;
            recorded.push(test.mean_latency_us);
            rows += test.rows;
        }
        let figure = LatencyFigure {
            adapter: least(&adapter),
            inline: least(&inline),
        };
        Ok((figure, least(&recorded), rows))
    }

    /// The same tests with a server in between, in a process of its own.
    fn http(&mut self) -> Result<HttpFigures> {
        let server = EchoServer::start(&[])?;
        self.endpoint = Some(server.url.clone());
        let offline = self.rate("http-offline", SutKind::Http, false, HTTP_OFFLINE_QPS)?;
        let (mut http, mut adapter) = (Vec::new(), Vec::new());
        for n in 1..=LATENCY_TESTS {
            let name = |what: &str| format!("http-latency-{what}-{n}");
            http.push(
                self.test(&name("http"), SutKind::Http, true, HTTP_LATENCY_QPS)?
                    .mean_latency_us,
            );
            adapter.push(
                self.test(&name("adapter"), SutKind::Adapter, true, HTTP_LATENCY_QPS)?
                    .mean_latency_us,
            );
        }
        drop(server);
        Ok(HttpFigures {
            streams: self.streams()?,
            offline_requests_per_s: offline,
            latency_1k_us: HttpLatency {
                http: least(&http),
                adapter: least(&adapter),
            },
        })
    }

    /// Answers that come token by token: at a pace, and as fast as they can.
    fn streams(&mut self) -> Result<StreamFigures> {
        let mut test = |name, tpot: f64, server, qps| -> Result<Test> {
            let (tokens, tpot) = (STREAM_TOKENS.to_string(), tpot.to_string());
            let running = EchoServer::start(&["--echo-tokens", &tokens, "--echo-tpot-ms", &tpot])?;
            self.endpoint = Some(running.url.clone());
            self.test(name, SutKind::HttpStream, server, qps)
        };
        let paced = test("http-streams", STREAM_TPOT_MS, true, STREAM_QPS)?;
        let saturated = test(
            "http-streams-saturated",
            SATURATING_TPOT_MS,
            false,
            STREAM_OFFLINE_QPS,
        )?;
        Ok(StreamFigures {
            pieces: paced.http.pieces,
            piece_us: paced.http.processor_s * 1e6 / paced.http.pieces as f64,
            saturated_tokens_per_s: saturated.rate * f64::from(STREAM_TOKENS),
        })
    }

    /// The better of the Python binding's two ways; `None` when no comparison was asked for.
    fn python(&mut self, name: &str, server: bool, qps: f64) -> Result<Option<f64>> {
        if !self.args.compare_python {
            return Ok(None);
        }
        let worker = self.rate(
            &format!("{name}-python-worker"),
            SutKind::PythonWorker,
            server,
            qps,
        )?;
        let inline = self.rate(
            &format!("{name}-python-inline"),
            SutKind::PythonInline,
            server,
            qps,
        )?;
        Ok(Some(worker.max(inline)))
    }

    fn test(&mut self, name: &str, who: SutKind, server: bool, qps: f64) -> Result<Test> {
        let dir = self.dir.join(name);
        make_directories(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let python = matches!(who, SutKind::PythonWorker | SutKind::PythonInline);
        let mut command = if python {
            let script = self.dir.join("null_sut.py");
            output::write_whole(&script, PYTHON_SUT.as_bytes())?;
            let mut command = Command::new(&self.args.python);
            command.arg(script);
            command
        } else {
            let mut command = Command::new(
                std::env::current_exe().context("cannot find this program's own file")?,
            );
            command.arg("bench-loadgen-child");
            command
        };
        command.args(["--scenario", if server { "server" } else { "offline" }]);
        command.args([
            "--qps",
            &qps.to_string(),
            "--seconds",
            &self.args.seconds.to_string(),
        ]);
        let tokens = match who {
            SutKind::Http => HTTP_TOKENS,
            SutKind::HttpStream => STREAM_TOKENS,
            _ => self.args.tokens,
        };
        command
            .args(["--tokens", &tokens.to_string()])
            .arg("--output")
            .arg(&dir);
        if let (true, Some(url)) = (who.is_http(), &self.endpoint) {
            command.args(["--endpoint", url]);
        }
        if who == SutKind::HttpStream {
            command.arg("--stream");
        }
        if matches!(who, SutKind::Inline | SutKind::PythonInline) {
            command.arg("--inline");
        }
        if who == SutKind::Recorded {
            command.arg("--record");
        }
        progress!("bench loadgen: {name} ...");
        let status = children::status(command.stdout(Stdio::null()))
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        children::fail_if_interrupted(|| match &self.args.output {
            Some(dir) => format!("what was measured until then is in {}", dir.display()),
            None => "nothing is left (--output keeps the logs)".into(),
        })?;
        if !status.success() {
            let hint = if python {
                "; it needs: pip install mlcommons-loadgen"
            } else {
                ""
            };
            bail!("{name}: the test's process ended with {status}{hint}");
        }
        let mut test = self.read(name, &dir, server)?;
        if who == SutKind::Recorded {
            let record = Record::open(&dir).with_context(|| name.to_owned())?;
            test.rows = Rows {
                written: record.rows.len() as u64,
                lost: record.lost,
            };
        }
        if who.is_http() {
            let cost =
                ossmark_files::read(&dir.join(HTTP_COST)).with_context(|| name.to_owned())?;
            test.http = serde_json::from_slice(&cost).with_context(|| name.to_owned())?;
        }
        Ok(test)
    }

    fn read(&mut self, name: &str, dir: &Path, server: bool) -> Result<Test> {
        let facts = logs::read(dir, false);
        if let Some(problem) = facts.unreadable.first() {
            bail!("{name}: {problem}");
        }
        if let Some(error) = facts.errors.first() {
            self.errors.push(format!(
                "{name}: {} LoadGen error(s), the first: {error}",
                facts.error_count
            ));
        }
        let number = |key: &str| {
            facts
                .entries
                .get(key)
                .and_then(Value::as_f64)
                .with_context(|| format!("{name}: no {key} in the detail log"))
        };
        Ok(Test {
            valid: facts.entries.get("result_validity").and_then(Value::as_str) == Some("VALID"),
            rate: number(if server {
                "result_completed_samples_per_sec"
            } else {
                "result_samples_per_second"
            })?,
            mean_latency_us: number("result_mean_latency_ns")? / 1e3,
            rows: Rows::default(),
            http: HttpCost::default(),
        })
    }
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
