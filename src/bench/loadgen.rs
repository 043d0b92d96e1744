//! `ossmark bench loadgen`: what the harness itself can take, with LoadGen's Python binding beside it in the same run.
//! LoadGen allows one test a process, so every figure comes from a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use ossmark_files::make_directories;
use serde::Serialize;
use serde_json::Value;

use super::server::EchoServer;
use crate::children;
use crate::cli::BenchLoadgenArgs;
use crate::exit::Outcome;
use crate::output;
use crate::run::logs;
use crate::terminal::{note, say};

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

#[derive(Debug, Serialize)]
struct Report {
    server: ServerFigure,
    offline: OfflineFigure,
    #[serde(skip_serializing_if = "Option::is_none")]
    python: Option<PythonFigures>,
    latency_20k_us: LatencyFigure,
    http: HttpFigures,
}

/// The HTTP generator with the echo engine behind `ossmark serve`, both on this machine: prompts and answers of 32 tokens,
/// without streaming. Latencies are means at 1,000 queries a second; `adapter` is that of an engine that answers at once.
#[derive(Debug, Serialize)]
struct HttpFigures {
    offline_requests_per_s: f64,
    latency_1k_us: HttpLatency,
}

#[derive(Debug, Serialize)]
struct HttpLatency {
    http: f64,
    adapter: f64,
}

/// `qps` is the saturated completion rate; `valid` and `held_qps` are of the run at 300,000 offered.
#[derive(Debug, Serialize)]
struct ServerFigure {
    qps: f64,
    valid: bool,
    held_qps: f64,
}

#[derive(Debug, Serialize)]
struct OfflineFigure {
    samples_per_s: f64,
}

/// The better of an answering worker thread and answering inside the call, for each scenario.
#[derive(Debug, Serialize)]
struct PythonFigures {
    server_qps: f64,
    offline_samples_per_s: f64,
}

/// Mean latencies at 20,000 queries a second, each of the least disturbed of several tests taken in turn: on a shared
/// machine the mean of a test is mostly the time that the machine was somewhere else.
#[derive(Debug, Serialize)]
struct LatencyFigure {
    adapter: f64,
    inline: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum SutKind {
    Adapter,
    Inline,
    PythonWorker,
    PythonInline,
    Http,
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
    let server = bench.rate("server-saturated", SutKind::Adapter, true, SATURATING_QPS)?;
    let python_server = bench.python("server", true, SATURATING_QPS)?;
    let held = bench.test("server-300k", SutKind::Adapter, true, HELD_QPS)?;
    let latency = bench.latency()?;
    let offline = bench.rate("offline", SutKind::Adapter, false, OFFLINE_QPS)?;
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

    fn latency(&mut self) -> Result<LatencyFigure> {
        let (mut adapter, mut inline) = (Vec::new(), Vec::new());
        for n in 1..=LATENCY_TESTS {
            let mut mean = |who, name| {
                let test = self.test(&format!("latency-{name}-{n}"), who, true, LATENCY_QPS)?;
                anyhow::Ok(test.mean_latency_us)
            };
            adapter.push(mean(SutKind::Adapter, "adapter")?);
            inline.push(mean(SutKind::Inline, "inline")?);
        }
        Ok(LatencyFigure {
            adapter: least(&adapter),
            inline: least(&inline),
        })
    }

    /// The same tests with a server in between, in a process of its own.
    fn http(&mut self) -> Result<HttpFigures> {
        let server = EchoServer::start()?;
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
        Ok(HttpFigures {
            offline_requests_per_s: offline,
            latency_1k_us: HttpLatency {
                http: least(&http),
                adapter: least(&adapter),
            },
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
            _ => self.args.tokens,
        };
        command
            .args(["--tokens", &tokens.to_string()])
            .arg("--output")
            .arg(&dir);
        if let (SutKind::Http, Some(url)) = (who, &self.endpoint) {
            command.args(["--endpoint", url]);
        }
        if matches!(who, SutKind::Inline | SutKind::PythonInline) {
            command.arg("--inline");
        }
        note!("bench loadgen: {name} ...");
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
        self.read(name, &dir, server)
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
        })
    }
}

fn print(report: &Report, args: &BenchLoadgenArgs) {
    say!(
        "LoadGen {}, {} tokens an answer, {} s a test",
        ossmark_loadgen::LOADGEN_VERSION,
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

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
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
