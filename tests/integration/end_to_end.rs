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

/// The first ten questions of each kind as a publisher would ship them, and the tokens that the demo checkpoint was trained on.
fn published(dir: &Path) -> Vec<Vec<u32>> {
    let table = Table::open(&repository().join("demo/accuracy.parquet")).unwrap();
    let text = |column| table.text(column).unwrap();
    let (names, questions, answers) = (text("dataset"), text("question"), text("ground_truth"));
    let tokens = table.tokens("tok_input").unwrap();
    let mut recipe = "effort = \"low\"\ntemplates = \"templates.toml\"\n".to_owned();
    let mut expected = Vec::new();
    for name in ["aime25", "gpqa_diamond", "livecodebench_v6"] {
        let rows: Vec<usize> = (0..table.rows())
            .filter(|row| names[*row].as_deref() == Some(name))
            .take(10)
            .collect();
        let line = |row: &usize| {
            let (question, answer) = (&questions[*row], &answers[*row]);
            serde_json::json!({ "question": question, "answer": answer }).to_string() + "\n"
        };
        let file = format!("{name}.jsonl");
        std::fs::write(dir.join(&file), rows.iter().map(line).collect::<String>()).unwrap();
        recipe +=
            &format!("[[source]]\nkind = \"demo\"\nname = \"{name}\"\nfiles = [\"{file}\"]\n");
        expected.extend(rows.iter().map(|row| tokens[*row].to_vec()));
    }
    std::fs::write(dir.join("recipe.toml"), recipe).unwrap();
    let templates = "[kind.demo]\nreader = \"question\"\nrepeats = 1\nuser = \"{question}\"\nsource = \"demo/README.md\"\n";
    std::fs::write(dir.join("templates.toml"), templates).unwrap();
    expected
}

#[test]
fn questions_are_prepared_served_inferred_and_scored() {
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
        let said = format!("{args:?}: {}{}", done.stdout, done.stderr);
        assert_eq!(done.code(), Some(0), "{said}");
        done.stdout
    };
    let expected = published(tmp.path());
    run(
        &[
            "dataset",
            "prepare",
            "--recipe",
            "recipe.toml",
            "--output",
            "data.parquet",
        ],
        &[("--tokenizer", &demo)],
    );
    let prepared = Table::open(&tmp.path().join("data.parquet")).unwrap();
    let prompts: Vec<Vec<u32>> = prepared
        .tokens("input_tokens")
        .unwrap()
        .iter()
        .map(|prompt| prompt.to_vec())
        .collect();
    assert_eq!(prompts, expected);

    run(
        &[
            "infer",
            "--dataset",
            "data.parquet",
            "--output",
            "out.parquet",
            "--engine",
            "http",
            "--endpoint",
            &server.url(),
            "--pass-k",
            "5",
            "--max-new-tokens",
            "400",
            "--temperature",
            "0",
        ],
        &[("--tokenizer", &demo)],
    );
    let table = Table::open(&tmp.path().join("out.parquet")).unwrap();
    // Greedy: all passes say the same.
    let first = table.tokens("tok_model_output_0").unwrap();
    for pass in 1..5 {
        let tokens = table.tokens(&format!("tok_model_output_{pass}")).unwrap();
        assert_eq!(tokens, first, "pass {pass}");
    }
    let printed = run(
        &["score", "--inferred", "out.parquet"],
        &[("--lcb-problems", &demo.join("lcb_problems.jsonl"))],
    );
    let (_, score) = printed.split_once("'exact_match': ").unwrap();
    let score: f64 = score.split([',', '}']).next().unwrap().parse().unwrap();
    // The checkpoint answers nearly all of its questions; anything less is a broken path.
    assert!(score > 95.0, "{printed}");
}
