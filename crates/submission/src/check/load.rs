//! Reads one result's files, in the order of the official checker's loader: what is missing or broken is a finding.

use ossmark_logs::DETAIL;
use serde_json::Value;

use super::endpoints;
use super::run::{PERFORMANCE_RUN, Run};
use crate::finding::Findings;
use crate::log::{Loaded, Log};
use crate::python;
use crate::tree::LOG_LIMIT;

/// Fills in what there is.
pub(super) fn load(run: &mut Run<'_>, findings: &mut Findings) {
    let performance_file = format!("{PERFORMANCE_RUN}/{DETAIL}");
    let accuracy_file = format!("accuracy/{DETAIL}");
    let performance = log(run, &performance_file, "performance.log", findings);
    let accuracy = log(run, &accuracy_file, "accuracy.log", findings);
    if matches!((&performance, &accuracy), (Found::Nothing, Found::Nothing)) {
        run.is_endpoints = true;
        // The client's name for it.
        if run.folder.eq_ignore_ascii_case("online") {
            run.folder = "server".into();
        }
        (run.performance, run.accuracy) = endpoints::read(run, findings).unzip();
    } else {
        for (found, rule, file) in [
            (&performance, "performance.missing", &performance_file),
            (&accuracy, "accuracy.log-missing", &accuracy_file),
        ] {
            if matches!(found, Found::Nothing) {
                let message = "not found, expected LoadGen's detail log";
                run.report(findings, rule, file, message);
            }
        }
        if let Found::Log(log, text) = performance {
            (run.performance, run.performance_text) = (Some(log), text);
        }
        if let Found::Log(log, text) = accuracy {
            (run.accuracy, run.accuracy_text) = (Some(log), text);
        }
    }
    run.score_text = run.text("accuracy/accuracy.txt", findings);
    run.measurements = json(run, "measurements.json", findings);
    unused_logs(run, findings);
}

/// What became of a log.
enum Found {
    Nothing,
    /// It cannot be read, which is a finding.
    Unreadable,
    /// With its text.
    Log(Log, String),
}

fn log(run: &Run<'_>, file: &str, rule: &'static str, findings: &mut Findings) -> Found {
    match Log::load(&run.dir.join(file)) {
        Loaded::Missing => return Found::Nothing,
        Loaded::Log(log, text) => return Found::Log(log, text),
        Loaded::Broken(why) => run.report(findings, rule, file, why),
        Loaded::TooLarge(size) => run.report(
            findings,
            "tree.too-large-to-read",
            file,
            format!("found {size} bytes, expected at most {LOG_LIMIT}"),
        ),
    }
    Found::Unreadable
}

fn json(run: &Run<'_>, file: &str, findings: &mut Findings) -> Option<Value> {
    let text = run.text(file, findings)?;
    match python::loads(&text) {
        Ok(json) => Some(json),
        Err(error) => {
            run.report(
                findings,
                "tree.unreadable",
                file,
                format!("found text that is not JSON ({error})"),
            );
            None
        }
    }
}

/// Logs of tests that this benchmark does not have are parsed by the official checker all the same.
fn unused_logs(run: &Run<'_>, findings: &mut Findings) {
    for test in ["TEST01", "TEST04"] {
        let file = format!("{test}/{PERFORMANCE_RUN}/{DETAIL}");
        log(run, &file, "compliance.log", findings);
    }
    for test in ["TEST01", "TEST04", "TEST06", "TEST08"] {
        run.text(&format!("{test}/verify_accuracy.txt"), findings);
    }
}
