//! Settings, problems and a runner for the tests.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use ossmark_score::lcb::{Candidate, LcbReport, Problems, Settings, Verdict, run};
use serde_json::{Value, json};

pub(crate) fn settings() -> Settings {
    let this = std::env::current_exe().expect("the test's own path");
    Settings {
        timeout_s: 2,
        python: std::env::var_os("OSSMARK_TEST_PYTHON").map(PathBuf::from),
        workers: 2,
        helper: vec![this.into(), "confine".into()],
        ..Settings::default()
    }
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    // Elsewhere for whoever may not read this directory (ordinary.rs).
    std::env::var_os("OSSMARK_TEST_FIXTURES")
        .map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lcb"),
            PathBuf::from,
        )
        .join(name)
}

/// A copy that can be run at once. A process that another test starts while we write would hold our descriptor until it
/// runs its own program, and the copy would be "text file busy"; only `cp` has written this one, and it has ended.
pub(crate) fn copy_program(from: &Path, to: &Path) -> std::io::Result<()> {
    let status = Command::new("cp").arg("--").args([from, to]).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(std::io::Error::other(format!("cp: {status}"))),
    }
}

/// Verdicts in the order of `codes`, with the report.
pub(crate) fn grade(
    problems: &Problems,
    codes: &[(&str, &str)],
    settings: &Settings,
) -> (Vec<Verdict>, LcbReport) {
    let candidates = codes.iter().enumerate().map(|(key, (id, code))| Candidate {
        key,
        question_id: (*id).to_owned(),
        code: (*code).to_owned(),
    });
    let mut verdicts = Vec::new();
    let report = run(problems, candidates, settings, &mut |v| verdicts.push(v)).expect("a run");
    verdicts.sort_by_key(|v| v.key);
    let keys: Vec<_> = verdicts.iter().map(|v| v.key).collect();
    assert_eq!(
        keys,
        (0..codes.len()).collect::<Vec<_>>(),
        "every verdict exactly once"
    );
    (verdicts, report)
}

/// The records as problems; the file must be kept as long as they are used.
pub(crate) fn problem_file(records: &[Value]) -> (Problems, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    for record in records {
        writeln!(file, "{record}").expect("a line");
    }
    let problems = Problems::load(&[file.path().to_owned()]).expect("problems");
    (problems, file)
}

/// A problem record with these (input, output) tests.
pub(crate) fn problem(id: &str, function: Option<&str>, tests: &[(&str, &str)]) -> Value {
    let kind = if function.is_some() {
        "functional"
    } else {
        "stdin"
    };
    let list: Vec<_> = tests
        .iter()
        .map(|(input, output)| json!({"input": input, "output": output, "testtype": kind}))
        .collect();
    json!({
        "question_title": "t", "question_content": "c", "platform": "atcoder", "question_id": id, "contest_id": "c",
        "contest_date": "2025-02-01T00:00:00", "starter_code": "", "difficulty": "easy",
        "public_test_cases": json!(list).to_string(), "private_test_cases": "[]",
        "metadata": json!({"func_name": function}).to_string(),
    })
}
