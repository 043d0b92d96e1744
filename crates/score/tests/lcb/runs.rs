//! What a run's settings change, and workers that die by themselves.

use std::os::unix::process::CommandExt;
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use ossmark_score::Error;
use ossmark_score::lcb::{Candidate, Layers, Problems, Settings, TimeLimit, run};
use serde_json::Value;

use crate::support::{grade, problem, problem_file, settings};

const SCRIPT: &str = concat!(
    include_str!("../../src/lcb/worker/common.py"),
    include_str!("../../src/lcb/worker/judge.py"),
    include_str!("../../src/lcb/worker/candidate.py"),
    include_str!("../../src/lcb/worker/layers.py"),
    include_str!("../../src/lcb/worker/main.py"),
);
const HONEST: &str = "print(input()[::-1])";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("cpu_time_limit_does_not_count_sleep", cpu_time),
        Trial::test("unconfined_runs_are_refused_unless_allowed", unconfined),
        Trial::test("a_worker_that_died_costs_no_candidate_its_verdict", mortal),
        Trial::test("a_worker_that_cannot_fork_is_replaced", barren),
    ]
}

/// The helpers of these tests, in place of `confine`: each becomes the interpreter, without any confinement, with a script that
/// was changed. Returns only with the reason why it could not.
pub(crate) fn helper(name: &str, spec: &str) -> Option<String> {
    let script = match name {
        // As on a kernel without seccomp and namespaces.
        "bare" => format!("import ctypes\nctypes.CDLL = None\n{SCRIPT}"),
        // Ends after each candidate, as if the system had killed it.
        "mortal" => changed(
            "control.send(b\"Z\")",
            "control.send(b\"Z\")\n        return",
        ),
        // The first worker's first fork fails.
        "barren" => changed(
            "child = fork_candidate(",
            "child = None if os.getcwd().endswith(\"worker0\") else fork_candidate(",
        ),
        _ => return None,
    };
    let spec: Value = serde_json::from_str(spec).ok()?;
    let text = |key: &str| spec[key].as_str().unwrap_or_default().to_owned();
    let setup = serde_json::json!({"layers": Layers::default(), "fresh": null, "read": ["/"], "devices": ["/dev/null"], "disk_bytes": 1 << 26});
    let error = Command::new(text("python"))
        .args(["-I", "-B", "-c", &script, &text("role"), &setup.to_string()])
        .current_dir(text("directory"))
        .exec();
    Some(error.to_string())
}

fn changed(from: &str, to: &str) -> String {
    assert_eq!(
        SCRIPT.matches(from).count(),
        1,
        "the script has changed: {from}"
    );
    SCRIPT.replace(from, to)
}

fn with_helper(name: &str) -> Settings {
    let mut settings = settings();
    settings.helper[1] = name.into();
    settings.workers = 1;
    settings.allow_unconfined = true;
    settings
}

fn problems() -> (Problems, tempfile::NamedTempFile) {
    let tests = [("abc\n", "cba"), ("de\n", "ed")];
    problem_file(&[problem("honest", None, &tests)])
}

/// A program that waits has used no time of its own; one that computes has, under either limit.
fn cpu_time() -> Result<(), Failed> {
    let (problems, _file) = problems();
    let waits = format!("import time\ntime.sleep(1.5)\n{HONEST}");
    let codes = [("honest", waits.as_str()), ("honest", "while True: pass")];
    let mut settings = settings();
    settings.timeout_s = 1;
    for (limit, expected) in [
        (TimeLimit::Wall, [Some(-3), Some(-3)]),
        (TimeLimit::Cpu, [None, Some(-3)]),
    ] {
        settings.time_limit = limit;
        let (verdicts, _) = grade(&problems, &codes, &settings);
        let errors: Vec<_> = verdicts.iter().map(|v| v.error_code).collect();
        assert_eq!(errors, expected, "{limit:?}: {verdicts:?}");
    }
    Ok(())
}

fn unconfined() -> Result<(), Failed> {
    let (problems, _file) = problems();
    let mut settings = with_helper("bare");
    let (verdicts, report) = grade(&problems, &[("honest", HONEST)], &settings);
    assert!(
        !report.layers.confined() && report.layers.active().is_empty(),
        "{report:?}"
    );
    assert!(verdicts[0].passed, "{verdicts:?}");

    settings.allow_unconfined = false;
    let candidate = Candidate {
        key: 0,
        question_id: "honest".into(),
        code: HONEST.into(),
    };
    let mut verdicts = 0;
    let refused = run(&problems, [candidate], &settings, &mut |_| verdicts += 1);
    assert!(
        matches!(refused, Err(Error::Unconfined { .. })),
        "{refused:?}"
    );
    assert_eq!(verdicts, 0);
    Ok(())
}

fn mortal() -> Result<(), Failed> {
    let (problems, _file) = problems();
    let (verdicts, report) = grade(&problems, &[("honest", HONEST); 4], &with_helper("mortal"));
    assert!(verdicts.iter().all(|v| v.passed), "{verdicts:?}");
    assert!(report.workers_replaced >= 3, "{report:?}");
    Ok(())
}

fn barren() -> Result<(), Failed> {
    let (problems, _file) = problems();
    let (verdicts, report) = grade(&problems, &[("honest", HONEST); 2], &with_helper("barren"));
    assert!(verdicts.iter().all(|v| v.passed), "{verdicts:?}");
    assert_eq!(report.workers_replaced, 1, "{report:?}");
    Ok(())
}
