//! The reference flow with one binary: serve, then run and infer over HTTP, then score; the tokens are those of the engine
//! in the same process.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ossmark_dataset::Table;

use crate::common::{ANY_SPEED, Bench, SHORT_CONF, answers, binary, finish, repository};
use crate::serve::Server;

const LIMIT: Duration = Duration::from_secs(240);

fn demo_server() -> Server {
    let demo = repository().join("demo");
    Server::start(&["--engine", "cpu", "--model", demo.to_str().unwrap()])
}

fn over_http(bench: &Bench, url: &str, scenario: &str, mode: &str, args: &[&str]) -> Command {
    let demo = repository().join("demo");
    let mut command = bench.run(&[
        "--engine",
        "http",
        "--endpoint",
        url,
        "--scenario",
        scenario,
        "--mode",
        mode,
        "--model",
    ]);
    let data = match mode {
        "accuracy" => "accuracy.parquet",
        _ => "perf.parquet",
    };
    command
        .arg(&demo)
        .arg("--dataset")
        .arg(demo.join(data))
        .args(args);
    command
}

#[test]
fn runs_against_serve_are_valid_in_both_apis() {
    let server = demo_server();
    // 704 Server queries: with fewer than 459 LoadGen's early stopping cannot be satisfied.
    let conf = SHORT_CONF.replace("500", "60") + ANY_SPEED;
    for (scenario, api) in [
        ("offline", "openai"),
        ("offline", "sglang"),
        ("server", "openai"),
        ("server", "sglang"),
    ] {
        let bench = Bench::with_conf(&conf);
        let args = ["--api", api, "--max-new-tokens", "8"];
        let done = finish(
            over_http(&bench, &server.url(), scenario, "performance", &args),
            LIMIT,
        );
        let verdict = bench.verdict();
        assert_eq!(
            done.code(),
            Some(0),
            "{scenario} {api}: {verdict:#} {}",
            done.stderr
        );
        assert_eq!(verdict["loadgen"]["errors"], 0);
        assert_eq!(verdict["metrics"]["remote"]["failed"], 0);
        assert!(verdict["metrics"]["output_tokens"].as_u64().unwrap() > 64);
    }
}

#[test]
fn greedy_tokens_over_http_are_those_in_process() {
    let server = demo_server();
    let greedy = ["--temperature", "0", "--max-new-tokens", "40"];
    let log = |command: Command, bench: &Bench| {
        let done = finish(command, LIMIT);
        assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
        let mut answers = answers(&bench.out().join("mlperf_log_accuracy.json"));
        answers.sort();
        answers
    };
    let bench = Bench::new();
    let here = log(bench.demo_model("offline", "accuracy", &greedy), &bench);
    assert_eq!(here.len(), 48);
    for (scenario, api) in [
        ("offline", "sglang"),
        ("server", "openai"),
        ("server", "sglang"),
    ] {
        let bench = Bench::new();
        let mut args = greedy.to_vec();
        args.extend(["--api", api]);
        let command = over_http(&bench, &server.url(), scenario, "accuracy", &args);
        assert_eq!(log(command, &bench), here, "{scenario} {api}");
    }
}

#[test]
fn inferred_answers_are_scored() {
    let server = demo_server();
    let tmp = tempfile::tempdir().unwrap();
    let demo = repository().join("demo");
    let run = |args: &[&str], files: &[(&str, &Path)]| {
        let mut command = Command::new(binary());
        command.current_dir(tmp.path()).args(args);
        for (flag, file) in files {
            command.arg(flag).arg(file);
        }
        let done = finish(command, LIMIT);
        assert_eq!(
            done.code(),
            Some(0),
            "{args:?}: {}{}",
            done.stdout,
            done.stderr
        );
        done.stdout
    };
    let (url, data) = (server.url(), demo.join("accuracy.parquet"));
    run(
        &[
            "infer",
            "--output",
            "out.parquet",
            "--engine",
            "http",
            "--endpoint",
            &url,
            "--pass-k",
            "2",
            "--max-new-tokens",
            "400",
            "--temperature",
            "0",
        ],
        &[("--dataset", &data), ("--tokenizer", &demo)],
    );
    let table = Table::open(&tmp.path().join("out.parquet")).unwrap();
    // Greedy: both passes say the same.
    assert_eq!(
        table.tokens("tok_model_output_0").unwrap(),
        table.tokens("tok_model_output_1").unwrap()
    );
    let printed = run(
        &["score", "--inferred", "out.parquet"],
        &[("--lcb-problems", &demo.join("lcb_problems.jsonl"))],
    );
    let last = printed.trim().lines().last().unwrap();
    let score: f64 = last
        .strip_prefix("'exact_match': ")
        .unwrap()
        .parse()
        .unwrap();
    // The checkpoint answers nearly all of its questions; anything less is a broken path.
    assert!(score > 95.0, "{printed}");
}
