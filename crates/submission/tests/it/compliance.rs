//! The cases of the oracle: verdict, text and tree are those of MLCommons' run_verification.py.

use std::fs;
use std::io::Read;
use std::path::Path;

use ossmark_submission::audit::{Options, Test07, Test09, test07, test09};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::common::{fixture, fixture_json};

/// A case's directory with its logs unpacked.
fn unpack(case: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut open = vec![fixture("compliance").join(case)];
    let root = open[0].clone();
    while let Some(from) = open.pop() {
        for entry in fs::read_dir(from).unwrap().flatten() {
            let path = entry.path();
            let to = dir.path().join(path.strip_prefix(&root).unwrap());
            if path.is_dir() {
                fs::create_dir_all(&to).unwrap();
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "gz") {
                let mut bytes = Vec::new();
                flate2::read::GzDecoder::new(fs::File::open(&path).unwrap())
                    .read_to_end(&mut bytes)
                    .unwrap();
                fs::write(to.with_extension(""), bytes).unwrap();
            } else {
                fs::copy(&path, to).unwrap();
            }
        }
    }
    dir
}

fn argument<'a>(case: &'a Value, name: &str) -> Option<&'a str> {
    let args = case["args"].as_array().unwrap();
    let at = args.iter().position(|a| a == name)?;
    args[at + 1].as_str()
}

/// What the scorer printed: the file of a text case, or the part of the expected text before the verdict.
fn scorer_output(dir: &Path) -> String {
    fs::read_to_string(dir.join("acc_output.txt")).unwrap_or_else(|_| {
        let text = fs::read_to_string(dir.join("expected/verify_accuracy.txt")).unwrap();
        let end = text
            .find(&format!(
                "\n{}\nTEST07 Verification Summary",
                "=".repeat(80)
            ))
            .unwrap();
        text[..end].to_owned()
    })
}

#[test]
fn verdict_text_and_tree_are_the_official_ones() {
    let index = fixture_json("compliance/index.json");
    for case in index.as_array().unwrap() {
        let id = case["case"].as_str().unwrap();
        let dir = unpack(id);
        let path = |name: &str| dir.path().join(name);
        let (logs, output) = (path(argument(case, "-c").unwrap()), path("out"));
        let submitted = output.join(case["test"].as_str().unwrap());
        let audit_config = argument(case, "--audit-config").map(path);
        let options = Options {
            logs: &logs,
            output: &submitted,
            audit_config: audit_config.as_deref(),
            official_only: true,
        };
        let number = |name: &str| argument(case, name).map(|n| n.parse::<f64>().unwrap());
        let verified = if case["test"] == "TEST07" {
            test07(
                options,
                Test07 {
                    scorer_output: &scorer_output(dir.path()),
                    threshold: number("--accuracy-threshold"),
                },
            )
        } else {
            let (min_output_tokens, max_output_tokens) =
                (number("--min-output-tokens"), number("--max-output-tokens"));
            test09(
                options,
                Test09 {
                    min_output_tokens,
                    max_output_tokens,
                },
            )
        };
        let Some(verdict) = case["verdict"].as_str() else {
            // Where the official script ends without a verdict, we could not run.
            assert!(verified.is_err() && !output.exists(), "{id}");
            continue;
        };
        let verified = verified.unwrap_or_else(|e| panic!("{id}: {e}"));
        assert_eq!(verified.passed, verdict == "PASS", "{id}");
        let expected: Value =
            serde_json::from_slice(&fs::read(path("expected/result.json")).unwrap()).unwrap();
        let files = expected["tree"].as_object().unwrap();
        for (name, file) in files {
            let bytes = fs::read(output.join(name)).unwrap_or_else(|e| panic!("{id}: {name}: {e}"));
            let hash: String = Sha256::digest(&bytes)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(
                hash,
                file["sha256"].as_str().unwrap(),
                "{id}: {name}\n{}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(2000)])
            );
        }
    }
}

#[test]
fn by_default_every_sample_must_be_there_once() {
    let run = |case: &str, change: &dyn Fn(String) -> String| {
        let dir = unpack(case);
        let logs = dir.path().join("compliance_dir");
        let file = logs.join("mlperf_log_accuracy.json");
        fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
        let output = dir.path().join("out");
        let options = Options {
            logs: &logs,
            output: &output,
            audit_config: None,
            official_only: false,
        };
        let verified = if case.starts_with("t07") {
            test07(
                options,
                Test07 {
                    scorer_output: &scorer_output(dir.path()),
                    threshold: None,
                },
            )
            .unwrap()
        } else {
            test09(options, Test09::default()).unwrap()
        };
        let passed = verified.text.contains("TEST PASS");
        assert!(
            passed == verified.passed && passed != verified.text.contains("TEST FAIL"),
            "{}",
            verified.text
        );
        (verified.passed, verified.problems)
    };
    let same = |text: String| text;
    for case in ["t07_pass_offline", "t09_pass_offline"] {
        assert_eq!(
            run(case, &same),
            (true, Vec::new()),
            "{case}: the bounds of the round are known without an audit.config"
        );
        // One sample twice and another not at all: the mean does not show it.
        let twice = |text: String| text.replacen("\"qsl_idx\" : 7,", "\"qsl_idx\" : 8,", 1);
        let (passed, problems) = run(case, &twice);
        assert!(
            !passed && problems.len() == 1 && problems[0].contains("each of"),
            "{case}: {problems:?}"
        );
        let one_less = |text: String| {
            let lines: Vec<&str> = text.lines().collect();
            [&lines[..1], &lines[2..]].concat().join("\n")
        };
        assert!(!run(case, &one_less).0, "{case}");
    }
    let cut = |text: String| text.trim_end().trim_end_matches(']').to_owned();
    let (passed, problems) = run("t09_pass_offline", &cut);
    assert!(
        !passed && problems[0].contains("not written to its end"),
        "{problems:?}"
    );
}
