//! `ossmark serve` from the outside: the tokens over HTTP are those of `generate`, and signals end it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{binary, finish, repository, words};

const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    child: Child,
    address: String,
}

impl Server {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = Command::new(binary())
            .arg("serve")
            .args(args)
            .args(if args.contains(&"--port") {
                &[][..]
            } else {
                &["--port", "0"]
            })
            .env_remove("OSSMARK_API_KEY")
            .current_dir(repository())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        let address = address
            .unwrap_or_else(|| panic!("unexpected line {line:?}"))
            .to_owned();
        Self { child, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    fn send(&self, path: &str, body: &Value) -> TcpStream {
        let body = body.to_string();
        let mut stream = self.connect();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = self.connect();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        json_of(self.send(path, body))
    }

    /// Until so many requests are being answered.
    fn wait_for_open(&self, n: u64) {
        let line = format!("ossmark_requests_open {n}\n");
        let began = Instant::now();
        loop {
            let answer = self.get("/metrics");
            if answer.contains(&line) {
                return;
            }
            assert!(began.elapsed() < LIMIT, "{answer}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < LIMIT, "still running");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn json_of(mut stream: TcpStream) -> Value {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap()
}

fn ids(value: &Value) -> Vec<u64> {
    let ids = value.as_array().unwrap().iter();
    ids.map(|id| id.as_u64().unwrap()).collect()
}

const PROMPT: &str = "<|start|>system<|message|>Reasoning: low<|end|><|start|>user<|message|>What is 12 + 30?<|end|><|start|>assistant";

#[test]
fn tokens_over_http_are_those_of_generate() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, output) = (tmp.path().join("in.jsonl"), tmp.path().join("out.jsonl"));
    let prompts = [PROMPT.to_owned(), PROMPT.replace("12 + 30", "7 * 8")];
    let lines = prompts
        .iter()
        .enumerate()
        .map(|(i, p)| json!({ "id": i, "prompt": p }).to_string() + "\n");
    std::fs::write(&input, lines.collect::<String>()).unwrap();
    let mut command = Command::new(binary());
    command
        .args(words(
            "generate --engine cpu --temperature 0 --max-new-tokens 120",
        ))
        .arg("--model")
        .arg(repository().join("demo"))
        .arg("--input")
        .arg(&input)
        .arg("--output")
        .arg(&output);
    assert_eq!(finish(command, LIMIT).code(), Some(0));
    let answers = std::fs::read_to_string(&output).unwrap();
    let expected: Vec<Vec<u64>> = answers
        .lines()
        .map(|line| ids(&serde_json::from_str::<Value>(line).unwrap()["output_tokens"]))
        .collect();
    for dp in ["1", "2"] {
        let mut server = Server::start(&["--engine", "cpu", "--model", "demo", "--dp", dp]);
        for (prompt, expected) in prompts.iter().zip(&expected) {
            let body = json!({ "text": prompt, "sampling_params": { "temperature": 0, "max_new_tokens": 120 } });
            let answer = server.post("/generate", &body);
            assert_eq!(ids(&answer["output_ids"]), *expected);
            assert_eq!(answer["meta_info"]["finish_reason"]["type"], "stop");
            let body = json!({ "model": "demo", "prompt": prompt, "temperature": 0, "max_tokens": 120, "return_token_ids": true });
            let completion = server.post("/v1/completions", &body);
            assert_eq!(ids(&completion["choices"][0]["token_ids"]), *expected);
            assert_eq!(completion["model"], "demo");
            assert_eq!(completion["choices"][0]["text"], answer["text"]);
        }
        server.signal("-TERM");
        assert_eq!(server.ended().code(), Some(0));
    }
}

#[test]
fn open_requests_end_before_the_server_and_a_second_signal_does_not_wait() {
    let echo = [
        "--engine",
        "echo",
        "--echo-ttft-ms",
        "1500",
        "--echo-tokens",
        "4",
    ];
    let mut server = Server::start(&echo);
    let body = json!({ "input_ids": [5, 6] });
    let open = server.send("/generate", &body);
    server.wait_for_open(1);
    server.signal("-TERM");
    let row = 5 * 31;
    assert_eq!(
        ids(&json_of(open)["output_ids"]),
        [row, row + 1, row + 2, row + 3]
    );
    assert_eq!(server.ended().code(), Some(0));

    let mut server = Server::start(&[&echo[..2], &["--echo-ttft-ms", "600000"]].concat());
    let _open = server.send("/generate", &body);
    server.wait_for_open(1);
    server.signal("-INT");
    // It listens no more once it has seen the first.
    let began = Instant::now();
    while TcpStream::connect(&server.address).is_ok() {
        assert!(began.elapsed() < LIMIT, "still listening");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(server.child.try_wait().unwrap().is_none());
    server.signal("-INT");
    assert_eq!(server.ended().code(), Some(130));
}

#[test]
fn what_cannot_be_served_is_refused() {
    let serve = |args: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["serve", "--port", "0"]).args(args);
        command.env_remove("OSSMARK_API_KEY");
        finish(command, LIMIT)
    };
    let tmp = tempfile::tempdir().unwrap();
    let key = tmp.path().join("key");
    std::fs::write(&key, "short\n").unwrap();
    let key = key.to_str().unwrap();
    for (args, expected) in [
        (&["--engine", "cpu"][..], "--model"),
        (&["--engine", "echo", "--host", "0.0.0.0"], "--api-key-file"),
        (&["--engine", "echo", "--api-key-file", key], "at least 16"),
        (&["--engine", "echo", "--read-timeout", "0"], "read-timeout"),
        (&["--engine", "echo", "--host", "not an address"], "--host"),
        (
            &["--engine", "echo", "--tokenizer", "/nonexistent"],
            "cannot be read",
        ),
    ] {
        serve(args).refused(&[expected]);
    }
}
