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
        Trial::test("a_worker_killed_under_a_program_costs_no_verdict", shot),
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
        // The first worker, or every one, is killed once the program is under way.
        "shot-once" => shooting("worker0"),
        "shot-always" => shooting("worker"),
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

/// A worker whose directory has this in its name kills itself when the program says that it runs.
fn shooting(name: &str) -> String {
    changed(
        "handle = watch(child)",
        &format!(
            "while {name:?} in os.getcwd() and not os.path.exists('candidate/runs'): time.sleep(0.01)\n    if {name:?} in os.getcwd(): \
             os.kill(os.getpid(), signal.SIGKILL)\n    handle = watch(child)"
        ),
    )
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

/// The program under a worker that is killed runs again under another; only when that is killed as well it has no verdict, is
/// said to have none, and the next program is run.
fn shot() -> Result<(), Failed> {
    let (problems, _file) = problems();
    let waits = |name: &str| {
        format!(
            "import os, posix, time\nos.close(os.open('runs', os.O_CREAT | os.O_WRONLY))\nif {name:?} in posix.getcwd(): time.sleep(1000)\n\
             {HONEST}"
        )
    };
    let settings = |helper| Settings {
        timeout_s: 100,
        ..with_helper(helper)
    };
    let once = waits("worker0");
    let codes = [("honest", once.as_str()), ("honest", HONEST)];
    let (verdicts, report) = grade(&problems, &codes, &settings("shot-once"));
    assert!(verdicts.iter().all(|v| v.passed), "{verdicts:?}");
    assert_eq!((report.workers_replaced, report.void), (1, 0), "{report:?}");

    let always = waits("worker");
    let codes = [("honest", always.as_str())];
    let (verdicts, report) = grade(&problems, &codes, &settings("shot-always"));
    let message = verdicts[0].message.clone().unwrap_or_default();
    assert!(
        !verdicts[0].passed && verdicts[0].is_void && message.contains("killed"),
        "{verdicts:?}"
    );
    assert_eq!((report.void, report.runner_failures), (1, 0), "{report:?}");

    // A program that ends by itself under a worker that lives has its verdict.
    let codes = [("honest", "import os\nos._exit(0)")];
    let (verdicts, report) = grade(&problems, &codes, &crate::support::settings());
    assert_eq!(verdicts[0].error_code, Some(-5), "{verdicts:?}");
    let counted = (report.void, report.runner_failures, report.workers_replaced);
    assert_eq!(counted, (0, 1, 0), "{report:?}");
    Ok(())
}
