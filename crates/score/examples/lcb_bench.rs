//! How long grading takes: 3165 candidates of a tiny program with 30 tests each, sandbox included.
//!
//! `cargo run --release -p ossmark-score --example lcb_bench [PYTHON] [CANDIDATES] [WORKERS]`
//!
//! With `--problems FILE --cases FILE --timeout SECONDS [PYTHON]` instead it prints the verdict of each case, one JSON object a
//! line, to be compared with another grader's.
#![allow(
    clippy::disallowed_methods,
    reason = "opens what its user named, for a measurement"
)]

use std::{io::Write, path::PathBuf, process::ExitCode, time::Instant};

use ossmark_score::lcb::{Candidate, Problems, Settings, confine, run};
use serde_json::{Value, json};

const TESTS: usize = 30;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, spec] = &arguments[..]
        && name == "confine"
    {
        eprintln!("{}", confine(spec));
        return ExitCode::from(2);
    }
    let result = match &arguments[..] {
        [_, problems, _, cases, _, timeout, python @ ..] if arguments[0] == "--problems" => {
            compare(problems, cases, timeout, python.first())
        }
        _ => bench(&arguments),
    };
    if let Err(error) = result {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn settings(python: Option<&String>) -> Result<Settings, std::io::Error> {
    Ok(Settings {
        python: python.map(PathBuf::from),
        helper: vec![std::env::current_exe()?.into(), "confine".into()],
        ..Settings::default()
    })
}

fn bench(arguments: &[String]) -> Outcome {
    let count = arguments.get(1).map_or(Ok(3165), |n| n.parse())?;
    let mut settings = settings(arguments.first())?;
    if let Some(workers) = arguments.get(2) {
        settings.workers = workers.parse()?;
    }
    let tests: Vec<_> = (0..TESTS)
        .map(|n| json!({"input": format!("{n} {n}\n"), "output": format!("{}\n", 2 * n), "testtype": "stdin"}))
        .collect();
    let mut file = tempfile::NamedTempFile::new()?;
    for problem in 0..1055 {
        let record = json!({
            "platform": "atcoder", "difficulty": "easy", "question_id": format!("q{problem:04}"), "metadata": "{}",
            "public_test_cases": json!(tests).to_string(), "private_test_cases": "[]",
        });
        writeln!(file, "{record}")?;
    }
    let start = Instant::now();
    let problems = Problems::load(&[file.path().to_owned()])?;
    let candidates = (0..count).map(|key| Candidate {
        key,
        question_id: format!("q{:04}", key % 1055),
        code: "a, b = map(int, input().split())\nprint(a + b)".into(),
    });
    let report = run(&problems, candidates, &settings, &mut |_| {})?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{}", serde_json::to_string(&report)?);
    println!(
        "{} candidates x {TESTS} tests, {} passed, {} workers: {seconds:.1} s",
        report.candidates, report.passed, settings.workers
    );
    Ok(())
}

fn compare(problems: &str, cases: &str, timeout: &str, python: Option<&String>) -> Outcome {
    let problems = Problems::load(&[problems.into()])?;
    let text = std::fs::read_to_string(cases)?;
    let cases: Vec<Value> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let candidates = cases.iter().enumerate().map(|(key, case)| Candidate {
        key,
        question_id: case["question_id"].as_str().unwrap_or_default().to_owned(),
        code: case["code"].as_str().unwrap_or_default().to_owned(),
    });
    let mut settings = settings(python)?;
    settings.timeout_s = timeout.parse()?;
    let mut verdicts = Vec::new();
    run(&problems, candidates, &settings, &mut |v| verdicts.push(v))?;
    verdicts.sort_by_key(|v| v.key);
    for verdict in verdicts {
        println!("{}", serde_json::to_string(&verdict)?);
    }
    Ok(())
}
