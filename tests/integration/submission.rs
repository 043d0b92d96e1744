//! `submission` and `audit` through the binary: exit codes, files, messages. What they find is tested in their package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Done, binary, finish, repository};

const LIMIT: Duration = Duration::from_secs(60);

fn ossmark(args: &[&str]) -> Done {
    let mut command = Command::new(binary());
    command.args(args);
    finish(command, LIMIT)
}

fn fixtures() -> PathBuf {
    repository().join("crates/submission/tests/fixtures")
}

/// The complete tree of the fixtures.
fn tree() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::File::open(fixtures().join("base_tree.tar.gz")).unwrap();
    tar::Archive::new(flate2::read::GzDecoder::new(file))
        .unpack(dir.path())
        .unwrap();
    dir
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_check_says_what_it_found_and_how_it_ended() {
    let tree = tree();
    let (csv, json) = (tree.path().join("t.csv"), tree.path().join("t.json"));
    let input = ["submission", "check", "--input", text(tree.path())];
    let official = ossmark(
        &[
            &input[..],
            &[
                "--official-only",
                "--csv",
                text(&csv),
                "--json",
                text(&json),
            ],
        ]
        .concat(),
    );
    assert_eq!(official.code(), Some(0), "{}", official.stdout);
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 4);
    let report: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(report["verdict"], "valid");
    assert_eq!(report["results"].as_array().unwrap().len(), 3);
    for key in ["rule", "severity", "official", "path", "message", "source"] {
        assert!(!report["findings"][0][key].is_null(), "{key}");
    }
    // The tree has no documents, which the official checker does not mind.
    assert_eq!(ossmark(&input).code(), Some(0));
    let strict = ossmark(&[&input[..], &["--strict"]].concat());
    assert_eq!(strict.code(), Some(1));
    assert!(
        strict.stdout.contains("documentation.missing") && strict.stdout.contains("  fix: "),
        "{}",
        strict.stdout
    );
    // Results are not overwritten.
    ossmark(&[&input[..], &["--json", text(&json)]].concat()).refused(&["already exists"]);
    let misspelt = ossmark(&[&input[..], &["--submitter", "OracleLap"]].concat());
    assert_eq!(misspelt.code(), Some(1));
    assert!(misspelt.stdout.contains("results.zero"));
    ossmark(&["submission", "check", "--input", "/nowhere/at/all"])
        .refused(&["not found", "closed/"]);
    ossmark(&[&input[..], &["--round", "v9"]].concat()).refused(&["v9", "v6.1"]);
}

#[test]
fn a_rule_is_explained_without_a_tree() {
    let explain = |rule: &str| ossmark(&["submission", "check", "--explain", rule]);
    let done = explain("documentation.missing");
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    for part in ["question", "not official", "source: ", "fix: "] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
    assert!(
        explain("tree.no-results-dir")
            .stdout
            .contains("ends here with an exception")
    );
    explain("documentation.mising").refused(&["documentation.mising", "documentation.missing"]);
    ossmark(&["submission", "check"]).refused(&["<DIR>"]);
}

/// What the findings weigh is the same in print, in the counts and as JSON.
#[test]
fn by_the_official_rules_alone_everything_else_is_a_note() {
    let tree = tree();
    let json = tree.path().join("t.json");
    let input = [
        "submission",
        "check",
        "--official-only",
        "--input",
        text(tree.path()),
        "--json",
        text(&json),
    ];
    let done = ossmark(&input);
    assert!(
        done.stdout.contains("2 notes in 3 results, 3 valid"),
        "{}",
        done.stdout
    );
    let report: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    for finding in report["findings"].as_array().unwrap() {
        assert_eq!(
            (&finding["severity"], &finding["official"]),
            (&"note".into(), &false.into())
        );
    }
}

/// TEST09's directory of a tree, as it is handed in, and with the whole log in it.
#[test]
fn a_compliance_test_is_verified_where_it_lies_in_a_tree() {
    let tree = tree();
    let test = tree
        .path()
        .join("closed/OracleLab/results/null-x1/gpt-oss-120b/Offline/TEST09");
    let out = tempfile::tempdir().unwrap();
    let audit = || {
        ossmark(&[
            "audit",
            "test09",
            "--logs",
            text(&test),
            "--output",
            text(&out.path().join("out")),
            "--min-output-tokens",
            "3",
            "--max-output-tokens",
            "3",
        ])
    };
    let log = test.join("accuracy/mlperf_log_accuracy.json");
    let hash = fs::read_to_string(log.with_file_name("accuracy.txt")).unwrap();
    let hash = hash.trim().strip_prefix("hash=").unwrap();
    audit().refused(&["truncated for a submission", "ask the submitter", hash]);
    let data = "01000000".repeat(3);
    let entries =
        (0..6396).map(|n| format!("{{\"seq_id\":{n},\"qsl_idx\":{n},\"data\":\"{data}\"}}"));
    fs::write(&log, format!("[{}]", entries.collect::<Vec<_>>().join(","))).unwrap();
    let done = audit();
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let made = out.path().join("out/TEST09");
    assert!(
        fs::read_to_string(made.join("verify_output_len.txt"))
            .unwrap()
            .contains("TEST PASS")
    );
    assert!(
        made.join("performance/run_1/mlperf_log_detail.txt")
            .is_file()
    );
}

#[test]
fn truncating_packing_and_verifying() {
    let tree = tree();
    let out = tempfile::tempdir().unwrap();
    let truncate = |submitter: &str| {
        ossmark(&[
            "submission",
            "truncate",
            "--input",
            text(tree.path()),
            "--submitter",
            submitter,
            "--backup",
            text(&out.path().join("originals")),
        ])
    };
    let done = truncate("OracleLab");
    assert_eq!(done.code(), Some(0), "{}", done.stdout);
    assert!(
        done.stdout.contains("9 logs, 0 problems"),
        "{}",
        done.stdout
    );
    truncate("Nobody").refused(&["Nobody", "spelt"]);
    let file = out.path().join("a.tar.zst");
    let pack = [
        "submission",
        "pack",
        "--input",
        text(tree.path()),
        "--submitter",
        "OracleLab",
        "--output",
        text(&file),
    ];
    assert_eq!(ossmark(&pack).code(), Some(0));
    ossmark(&pack).refused(&["already exists"]);
    let verify = ["submission", "pack", "--verify", text(&file)];
    assert_eq!(ossmark(&verify).code(), Some(0));
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_eq!(ossmark(&verify).code(), Some(1));
}

#[test]
fn an_audit_of_existing_logs() {
    let case = fixtures().join("compliance/t07_text_exact");
    let out = tempfile::tempdir().unwrap();
    let logs = case.join("compliance_dir");
    let audit = |more: &[&str]| {
        let accuracy_output = case.join("acc_output.txt");
        let args = [
            "audit",
            "test07",
            "--logs",
            text(&logs),
            "--accuracy-output",
            text(&accuracy_output),
            "--output",
            text(out.path()),
        ];
        ossmark(&[&args[..], more].concat())
    };
    // The case's log is empty: the official script does not count.
    let config = case.join("audit.config");
    let official = audit(&["--official-only", "--audit-config", text(&config)]);
    assert_eq!(official.code(), Some(0), "{}", official.stderr);
    assert_eq!(
        fs::read(out.path().join("TEST07/verify_accuracy.txt")).unwrap(),
        fs::read(case.join("expected/verify_accuracy.txt")).unwrap()
    );
    audit(&[]).refused(&["already exists"]);
    for attempt in ["attempt 1", "attempt 2"] {
        let counted = audit(&["--force"]);
        assert_eq!(counted.code(), Some(1));
        assert!(
            counted.stdout.contains("Sample count check"),
            "{}",
            counted.stdout
        );
        assert!(counted.stdout.contains(attempt), "{}", counted.stdout);
    }
    let ledger = fs::read_to_string(out.path().join("audit_ledger.jsonl")).unwrap();
    assert_eq!(ledger.lines().count(), 2);
    audit(&["--force", "--official-only"]).refused(&["test07_accuracy_threshold"]);
}

/// The four cases of the oracle whose log is scored: verdict and text are those of the official script with the official
/// scorer.
#[test]
fn test07_scores_the_log_itself() {
    for (case, passes) in [
        ("t07_pass_offline", true),
        ("t07_fail_offline", false),
        ("t07_edge_pass_server", true),
        ("t07_edge_fail_server", false),
    ] {
        let case = fixtures().join("compliance").join(case);
        let out = tempfile::tempdir().unwrap();
        let logs = out.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let packed = case.join("compliance_dir/mlperf_log_accuracy.json.gz");
        let mut packed = flate2::read::GzDecoder::new(fs::File::open(packed).unwrap());
        let mut log = fs::File::create(logs.join("mlperf_log_accuracy.json")).unwrap();
        std::io::copy(&mut packed, &mut log).unwrap();
        let (reference, config) = (case.join("reference.parquet"), case.join("audit.config"));
        let done = ossmark(&[
            "audit",
            "test07",
            "--logs",
            text(&logs),
            "--output",
            text(out.path()),
            "--reference",
            text(&reference),
            "--tokenizer",
            text(&repository().join("tests/fixtures/score/tokenizer")),
            "--audit-config",
            text(&config),
        ]);
        assert_eq!(done.code(), Some(i32::from(!passes)), "{}", done.stderr);
        assert_eq!(
            fs::read_to_string(out.path().join("TEST07/verify_accuracy.txt")).unwrap(),
            fs::read_to_string(case.join("expected/verify_accuracy.txt")).unwrap()
        );
    }
}

/// A user.conf without the line that the test needs is refused however it is given, and nothing is left of it.
#[test]
fn test07_looks_at_a_user_conf_however_it_is_given() {
    let out = tempfile::tempdir().unwrap();
    let (conf, file) = (out.path().join("user.conf"), out.path().join("run.toml"));
    fs::write(&conf, "gpt-oss-120b.Server.target_qps = 5\n").unwrap();
    fs::write(&file, "user-conf = \"user.conf\"\n").unwrap();
    let one_word = format!("--user-conf={}", conf.display());
    let output = out.path().join("out");
    let audit = [
        "audit",
        "test07",
        "--output",
        text(&output),
        "--accuracy-output",
        text(&conf),
        "--",
        "--engine",
        "echo",
        "--scenario",
        "server",
    ];
    for given in [
        &["--user-conf", text(&conf)][..],
        &[one_word.as_str()],
        &["--config", text(&file)],
    ] {
        ossmark(&[&audit[..], given].concat())
            .refused(&["performance_sample_count_override", "990"]);
    }
}

/// The run and its verification in one command, with scripted answers.
#[test]
fn an_audit_makes_its_own_run() {
    let out = tempfile::tempdir().unwrap();
    let score = out.path().join("score.txt");
    fs::write(&score, "'exact_match': 65.0\n").unwrap();
    for scenario in ["offline", "server"] {
        let output = out.path().join(scenario);
        let run = [
            "--",
            "--engine",
            "echo",
            "--scenario",
            scenario,
            "--target-qps",
            "2000",
        ];
        let test07 = [
            "audit",
            "test07",
            "--output",
            text(&output),
            "--accuracy-output",
            text(&score),
        ];
        let done = ossmark(&[&test07[..], &run[..]].concat());
        assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
        let log = fs::read_to_string(output.join("TEST07/performance/run_1/mlperf_log_detail.txt"))
            .unwrap();
        assert!(log.contains("\"effective_performance_sample_count\", \"value\": 990"));
        assert!(output.join("test07-run/audit.config").is_file());
    }
    // 32 tokens an answer are too few for TEST09; every sample is there, so nothing else is wrong.
    let output = out.path().join("offline");
    let done = ossmark(&[
        "audit",
        "test09",
        "--output",
        text(&output),
        "--",
        "--engine",
        "echo",
        "--scenario",
        "offline",
    ]);
    assert_eq!(done.code(), Some(1), "{}\n{}", done.stdout, done.stderr);
    let written = fs::read_to_string(output.join("TEST09/verify_output_len.txt")).unwrap();
    assert!(
        written.contains("Total samples: 6396\nMean output tokens: 32.00")
            && !written.contains("count check"),
        "{written}"
    );
    assert_eq!(
        fs::read_to_string(output.join("audit_ledger.jsonl"))
            .unwrap()
            .lines()
            .count(),
        2
    );
    ossmark(&["audit", "test09", "--output", text(&out.path().join("x"))])
        .refused(&["--logs", "after --"]);
}
