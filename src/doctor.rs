//! What this machine has for ossmark's jobs. Only looks: reads /proc, /sys and library paths, asks the Python interpreter
//! for its versions, NVIDIA's driver and NVML where they are for their GPUs, and starts an empty sandbox; it changes nothing.
//! Owns the checks and their table; the command around it and LoadGen's facts come from the caller. Main thread.

mod gpu;
pub(crate) mod hardware;
mod machine;
pub(crate) mod probes;
mod python;
mod sandbox;

use std::{ffi::OsString, fmt::Write, path::Path};

use ossmark_files::Escaped;
use ossmark_telemetry::gpu_states;
use probes::{Host, Needs};
use serde::Serialize;

/// What is known about the LoadGen that is linked in.
#[derive(Clone, Debug)]
pub(crate) struct LoadgenInfo {
    /// As LoadGen says it: `6.0.17`.
    pub(crate) version: String,
    /// Where its source came from, with its hash.
    pub(crate) source: String,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Ok,
    /// Not there, or not enough of it.
    Missing,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    /// What was looked for.
    pub(crate) name: &'static str,
    pub(crate) status: Status,
    /// What was found.
    pub(crate) found: String,
    /// What it is for; the main job (`ossmark demo`, CPU runs) needs only what says so in `required`.
    pub(crate) purpose: &'static str,
    /// The main job on the CPU cannot do without.
    pub(crate) required: bool,
    /// How to get it, when it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

impl Check {
    fn new(
        name: &'static str,
        purpose: &'static str,
        result: Result<String, String>,
        fix: &'static str,
    ) -> Self {
        let (status, found, fix) = match result {
            Ok(found) => (Status::Ok, found, None),
            Err(found) => (Status::Missing, found, Some(fix.to_owned())),
        };
        Self {
            name,
            status,
            found,
            purpose,
            required: false,
            fix,
        }
    }

    /// What spoils a measurement is no reason not to make one.
    fn of_probe(probe: probes::Probe) -> Self {
        Self {
            name: probe.name,
            status: match probe.ok {
                true => Status::Ok,
                false => Status::Missing,
            },
            found: probe.found,
            purpose: "measurements",
            required: false,
            fix: probe.mend,
        }
    }

    fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }
}

/// Looks at everything. `python` is the interpreter that would run LiveCodeBench's programs, `dir` where runs would write,
/// `helper` the command that starts the sandbox.
pub(crate) fn report(
    loadgen: &LoadgenInfo,
    python: &Path,
    dir: &Path,
    helper: Vec<OsString>,
) -> Vec<Check> {
    let linked = format!("{}, {}", loadgen.version, loadgen.source);
    let mut checks =
        vec![Check::new("LoadGen", "every run (linked in)", Ok(linked), "").required()];
    let tried = sandbox::start(python, helper);
    checks.extend(machine::checks(dir, &tried));
    let gpus = gpu_states(None);
    checks.extend(gpu::checks(&gpus));
    checks.extend(python::checks(python));
    checks.push(sandbox::check(&tried));
    let mut measured = Host::here().probes(&Needs::default());
    measured.extend(probes::gpus(&gpus.unwrap_or_default()));
    checks.extend(measured.into_iter().map(Check::of_probe));
    checks
}

/// Whether the CPU's main job can run.
pub(crate) fn main_job_can_run(checks: &[Check]) -> bool {
    checks
        .iter()
        .all(|check| check.status == Status::Ok || !check.required)
}

/// The table for people.
pub(crate) fn render(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let mark = match (check.status, check.required) {
            (Status::Ok, _) => "ok     ",
            (Status::Missing, true) => "MISSING",
            (Status::Missing, false) => "absent ",
        };
        let _ = writeln!(text, "{mark}  {:<16} {}", check.name, Escaped(&check.found));
        if let Some(fix) = &check.fix {
            let _ = writeln!(text, "{:26}for {}: {fix}", "", check.purpose);
        }
    }
    let verdict = match main_job_can_run(checks) {
        true => "all that CPU runs need is here",
        false => "CPU runs are not possible on this machine as it is",
    };
    let _ = writeln!(text, "{verdict}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(required: bool, result: Result<String, String>) -> Check {
        let check = Check::new("thing", "jobs", result, "get one");
        if required { check.required() } else { check }
    }

    #[test]
    fn only_what_is_required_decides() {
        let (here, gone) = (|| Ok("here".to_owned()), || Err("gone".to_owned()));
        assert!(main_job_can_run(&[
            check(true, here()),
            check(false, gone())
        ]));
        let broken = [check(true, gone()), check(false, here())];
        assert!(!main_job_can_run(&broken));
        let text = render(&broken);
        assert!(
            text.contains("MISSING  thing            gone\n") && text.contains("for jobs: get one"),
            "{text}"
        );
        assert!(text.ends_with("CPU runs are not possible on this machine as it is\n"));
        let absent = render(&[check(false, gone())]);
        assert!(absent.starts_with("absent   thing"), "{absent}");
    }

    #[test]
    fn json_has_one_object_a_check() {
        let json =
            serde_json::to_value([check(true, Ok("1".into())), check(false, Err("2".into()))])
                .unwrap();
        assert_eq!(json[0]["status"], "ok");
        assert_eq!(
            (&json[0]["required"], &json[0]["fix"]),
            (&true.into(), &serde_json::Value::Null)
        );
        assert_eq!(
            (&json[1]["status"], &json[1]["fix"]),
            (&"missing".into(), &"get one".into())
        );
    }

    /// Whatever the machine, every check says something, and the machine that runs the tests can run the main job.
    #[test]
    fn this_machine() {
        let loadgen = LoadgenInfo {
            version: "6.0.17".into(),
            source: "test".into(),
        };
        let checks = report(
            &loadgen,
            Path::new("/nonexistent/python3"),
            Path::new("."),
            Vec::new(),
        );
        assert!(checks.iter().all(|c| !c.found.is_empty()), "{checks:?}");
        assert!(main_job_can_run(&checks), "{checks:?}");
        let python = checks.iter().find(|c| c.name == "Python").unwrap();
        assert!(
            python.status == Status::Missing && python.found.contains("/nonexistent/python3"),
            "{python:?}"
        );
        for name in [
            "LoadGen",
            "CPU",
            "memory",
            "disk",
            "CUDA driver",
            "NVRTC",
            "user namespaces",
            "seccomp",
            "sandbox",
        ] {
            assert!(checks.iter().any(|c| c.name == name), "{name}");
        }
    }
}
