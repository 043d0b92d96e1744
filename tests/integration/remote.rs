//! `run --engine http` against a small server that answers as SGLang does: a thread per connection.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{ANY_SPEED, Bench, SHORT_CONF, finish, repository, words};

const LIMIT: Duration = Duration::from_secs(120);

/// How a server answers.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// The prompt's last tokens, backwards, up to eight.
    Good,
    /// HTTP 500 that often after the warm-up, then as `Good`.
    FailsFirst(usize),
    /// Every tenth answer lacks a token that it counts.
    Lies,
    /// As `Good`; says that a prompt and its answer may have so many tokens together.
    Context(u64),
    /// As `Good`, with another version.
    Version(&'static str),
    /// As `Good`, with another model.
    Model(&'static str),
    /// Knows the answers to these prompts by heart, and nothing else: then it says nothing in two tokens.
    Memorised(&'static HashMap<Vec<u64>, Vec<u64>>),
}

pub(crate) struct Server {
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = Arc::clone(&served);
                std::thread::spawn(move || {
                    let _ = converse(stream, kind, &served);
                });
            }
        });
        Self { url }
    }
}

fn converse(stream: TcpStream, kind: Kind, served: &AtomicUsize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let (mut first, mut length) = (String::new(), 0);
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(n) = line.strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if first.starts_with("GET") {
            let path = first.split(' ').nth(1).unwrap_or_default();
            let answer = match (kind, path) {
                (Kind::Model(name), "/get_model_info") => json!({ "model_path": name }),
                (_, "/get_model_info") => json!({ "model_path": "demo" }),
                (Kind::Context(n), "/v1/models") => {
                    json!({ "data": [{ "id": "demo", "owned_by": "sglang", "max_model_len": n }] })
                }
                (Kind::Version(version), "/server_info") => {
                    json!({ "version": version, "api_key": "secret", "tp_size": 1 })
                }
                _ => {
                    respond(&mut writer, "404 Not Found", "no")?;
                    continue;
                }
            };
            respond(&mut writer, "200 OK", &answer.to_string())?;
            continue;
        }
        let request: Value = serde_json::from_slice(&body).unwrap();
        let n = served.fetch_add(1, SeqCst);
        let prompt: Vec<u64> = serde_json::from_value(request["input_ids"].clone()).unwrap();
        let limit = request["sampling_params"]["max_new_tokens"]
            .as_u64()
            .unwrap() as usize;
        let mut ids: Vec<u64> = match kind {
            Kind::Memorised(known) => known.get(&prompt).cloned().unwrap_or(vec![444, 443]),
            _ => prompt.iter().rev().copied().take(8.min(limit)).collect(),
        };
        let total = ids.len();
        match kind {
            Kind::FailsFirst(times) if (1..=times).contains(&n) => {
                respond(&mut writer, "500 Internal Server Error", "no")?;
                continue;
            }
            Kind::Lies if n % 10 == 9 => drop(ids.pop()),
            _ => {}
        }
        let answer = |ids: &[u64], total: usize, finish: Value| {
            json!({ "text": "", "output_ids": ids, "meta_info": {
                "prompt_tokens": prompt.len(), "completion_tokens": total, "finish_reason": finish } })
        };
        let stop = json!({ "type": "stop", "matched": 1 });
        if request["stream"] == false {
            respond(
                &mut writer,
                "200 OK",
                &answer(&ids, total, stop).to_string(),
            )?;
            continue;
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut text = head.to_owned();
        let first = answer(&ids[..1], 1, Value::Null).to_string();
        for data in [
            first,
            answer(&ids, total, stop).to_string(),
            "[DONE]".into(),
        ] {
            text += &format!("{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8);
        }
        text += "0\r\n\r\n";
        writer.write_all(text.as_bytes())?;
    }
}

fn respond(writer: &mut TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    writer.write_all(text.as_bytes())
}

fn run(bench: &Bench, url: &str, scenario: &str, mode: &str) -> std::process::Command {
    let mut command = bench.run(&[
        "--engine",
        "http",
        "--endpoint",
        url,
        "--scenario",
        scenario,
    ]);
    let demo = repository().join("demo");
    let data = match mode {
        "accuracy" => "accuracy.parquet",
        _ => "perf.parquet",
    };
    command.args(["--mode", mode, "--max-new-tokens", "10", "--model"]);
    command.arg(&demo).arg("--dataset").arg(demo.join(data));
    command
}

#[test]
fn servers_are_driven_in_every_scenario() {
    let server = Server::start(Kind::Good);
    for (scenario, mode) in [
        ("offline", "performance"),
        ("offline", "accuracy"),
        ("server", "performance"),
        ("interactive", "accuracy"),
    ] {
        let bench = Bench::with_conf(&(SHORT_CONF.to_owned() + ANY_SPEED));
        let done = finish(run(&bench, &server.url, scenario, mode), LIMIT);
        assert_eq!(
            done.code(),
            Some(0),
            "{scenario} {mode}: {}{}",
            done.stdout,
            done.stderr
        );
        let (verdict, plan) = (bench.verdict(), bench.plan());
        assert_eq!(verdict["loadgen"]["errors"], 0);
        let remote = &verdict["metrics"]["remote"];
        assert_eq!(
            (&remote["requests"], &remote["failed"], &remote["retries"]),
            (
                &verdict["metrics"]["samples_completed"],
                &json!(0),
                &json!(0)
            )
        );
        let asked = &plan["remote"];
        assert_eq!(asked["stream"], scenario != "offline");
        assert_eq!(asked["servers"][0]["model_info"]["model_path"], "demo");
        assert_eq!(asked["servers"][0]["endpoint"], server.url);
    }
}

#[test]
fn an_answer_that_does_not_add_up_is_a_fault() {
    let server = Server::start(Kind::Lies);
    for scenario in ["offline", "server"] {
        let bench = Bench::new();
        let done = finish(run(&bench, &server.url, scenario, "performance"), LIMIT);
        assert_eq!(done.code(), Some(1), "{}{}", done.stdout, done.stderr);
        let verdict = bench.verdict();
        assert_eq!(verdict["verdict"], "invalid");
        let fault = &verdict["faults"][0];
        assert_eq!(fault["kind"], "request_failed");
        let message = fault["message"].as_str().unwrap();
        assert!(
            message.contains(&server.url) && message.contains("tokens"),
            "{message}"
        );
        assert_eq!(fault["count"], verdict["metrics"]["remote"]["failed"]);
    }
}

#[test]
fn a_server_that_is_not_there_is_refused_before_anything_is_written() {
    let bench = Bench::new();
    let done = finish(
        run(&bench, "http://127.0.0.1:1", "offline", "performance"),
        LIMIT,
    );
    done.refused(&["http://127.0.0.1:1", "cannot connect", "check that"]);
    assert!(!bench.out().join("run_plan.json").exists());
    let bench = Bench::new();
    let mut command = bench.run(&words("--engine http --scenario offline --mode accuracy"));
    command
        .arg("--dataset")
        .arg(repository().join("demo/accuracy.parquet"));
    finish(command, LIMIT).refused(&["--endpoint URL"]);
}

#[test]
fn a_context_that_is_one_token_short_is_refused_before_the_run() {
    let rows = ossmark_dataset::Dataset::open(&repository().join("demo/perf.parquet")).unwrap();
    let longest = rows
        .prompts
        .iter()
        .map(|prompt| prompt.len() as u64)
        .max()
        .unwrap();
    // Ten new tokens are asked for.
    for (context, fits) in [(longest + 10, true), (longest + 9, false)] {
        let server = Server::start(Kind::Context(context));
        let bench = Bench::with_conf(&(SHORT_CONF.to_owned() + ANY_SPEED));
        let done = finish(run(&bench, &server.url, "offline", "performance"), LIMIT);
        if fits {
            assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
            assert_eq!(
                bench.plan()["remote"]["servers"][0]["max_model_len"],
                context
            );
        } else {
            done.refused(&[
                "row ",
                "max_model_len",
                &context.to_string(),
                "--max-new-tokens",
            ]);
            assert!(!bench.out().join("verdict.json").exists());
        }
    }
}

#[test]
fn servers_that_differ_are_refused_or_make_a_test_run() {
    let (one, other) = (
        Server::start(Kind::Version("1.0")),
        Server::start(Kind::Version("1.1")),
    );
    let bench = Bench::with_conf(&(SHORT_CONF.to_owned() + ANY_SPEED));
    let mut both = run(&bench, &one.url, "offline", "performance");
    both.args(["--endpoint", &other.url]);
    let done = finish(both, LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let deviations = bench.verdict()["deviations"].to_string();
    assert!(
        deviations.contains("servers differ in version"),
        "{deviations}"
    );
    let remote = &bench.plan()["remote"];
    assert_eq!(remote["servers"][1]["version"], "1.1");
    // Of a server's settings only those that are known to hold no secret.
    assert_eq!(remote["servers"][0]["settings"], json!({ "tp_size": 1 }));

    let other = Server::start(Kind::Model("gpt-oss-20b"));
    let bench = Bench::new();
    let mut both = run(&bench, &one.url, "offline", "performance");
    both.args(["--endpoint", &other.url]);
    finish(both, LIMIT).refused(&["serves demo", "serves gpt-oss-20b", "one model"]);
}

/// The command with no more than so many open files, until it raises that itself.
fn with_open_files(command: &std::process::Command, soft: u32) -> std::process::Command {
    let mut limited = std::process::Command::new("bash");
    let script = format!("ulimit -Sn {soft} && exec \"$0\" \"$@\"");
    limited.arg("-c").arg(script).arg(command.get_program());
    limited.args(command.get_args());
    limited.current_dir(command.get_current_dir().unwrap());
    limited
}

#[test]
fn room_for_connections_is_made_or_missed_before_the_start() {
    let server = Server::start(Kind::Good);
    let bench = Bench::with_conf(&(SHORT_CONF.to_owned() + ANY_SPEED));
    let mut command = run(&bench, &server.url, "offline", "performance");
    command.args(words("--max-concurrency 100"));
    let done = finish(with_open_files(&command, 300), LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let told = "the limit of open files was 300 and is 356 now, for 100 connections";
    assert!(done.stderr.contains(told), "{}", done.stderr);
    // More than any machine that runs this has, of one or the other.
    let bench = Bench::new();
    let mut command = run(&bench, &server.url, "offline", "performance");
    command.args(words("--max-concurrency 1048576"));
    finish(command, LIMIT).refused(&["lower --max-concurrency"]);
    assert!(!bench.out().join("run_plan.json").exists());
    for (wrong, expected) in [
        ("--http-threads 0", "--http-threads 0: expected 1 to 256"),
        (
            "--stream-interval 0",
            "--stream-interval 0: expected 1 to 4096 tokens",
        ),
        (
            "--source-address 192.0.2.7",
            "cannot connect from 192.0.2.7",
        ),
    ] {
        let mut command = run(&bench, &server.url, "offline", "performance");
        command.args(words(wrong));
        finish(command, LIMIT).refused(&[expected]);
    }
}

#[test]
fn threads_and_gathered_tokens_change_no_answer_and_stand_in_the_plan() {
    let server = Server::start(Kind::Good);
    let bench = Bench::with_conf(&(SHORT_CONF.to_owned() + ANY_SPEED));
    let mut command = run(&bench, &server.url, "server", "performance");
    command.args(words("--http-threads 3 --stream-interval 4 --source-address 127.0.0.2 --source-address 127.0.0.3"));
    let done = finish(command, LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let (verdict, plan) = (bench.verdict(), bench.plan());
    assert_eq!(verdict["faults"], json!([]));
    let remote = &verdict["metrics"]["remote"];
    assert_eq!(
        (&remote["failed"], &remote["retries"]),
        (&json!(0), &json!(0))
    );
    assert!(remote["pieces"].as_u64() > remote["requests"].as_u64());
    let asked = &plan["remote"];
    assert_eq!(
        (&asked["threads"], &asked["stream_interval"]),
        (&json!(3), &json!(4))
    );
}
