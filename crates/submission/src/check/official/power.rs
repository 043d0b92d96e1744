//! Power measurements: which files there must be. Whether they are right is for the Power WG's own script.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::run::{PERFORMANCE_RUN, Run};
use crate::finding::Findings;
use crate::tree;
use ossmark_logs::{ACCURACY, DETAIL, SUMMARY};

/// Files that the official checker passes over wherever it compares lists.
const IGNORED: [&str; 3] = ["mlperf_log_trace.json", "results.json", ".gitkeep"];

pub(super) fn check(run: &Run<'_>, findings: &mut Findings) {
    let power = "performance/power";
    if !tree::exists(&run.dir.join(power)) {
        return;
    }
    let runs: Vec<&str> = vec![SUMMARY, DETAIL, "spl.txt"];
    let measured: Vec<&str> = run
        .system
        .rules
        .submission
        .power_files
        .value
        .iter()
        .map(String::as_str)
        .collect();
    for (directory, wanted, optional) in [
        (PERFORMANCE_RUN, &runs, Some(ACCURACY)),
        ("performance/ranging", &runs, Some(ACCURACY)),
        (power, &measured, None),
    ] {
        let differing = difference(&run.dir.join(directory), wanted, optional);
        if !differing.is_empty() {
            run.report(
                findings,
                "power.files",
                directory,
                format!(
                    "found or missing: {}; expected {}",
                    differing.join(", "),
                    wanted.join(", ")
                ),
            );
        }
    }
    run.report(
        findings,
        "power.not-checked",
        power,
        "found a power measurement",
    );
}

fn difference(directory: &Path, wanted: &[&str], optional: Option<&str>) -> Vec<String> {
    let found = tree::files(directory).unwrap_or_default();
    let found: BTreeSet<String> = found
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let wanted: BTreeSet<String> = wanted.iter().map(|&name| name.to_owned()).collect();
    let passed_over =
        |name: &&String| IGNORED.contains(&name.as_str()) || optional == Some(name.as_str());
    found
        .symmetric_difference(&wanted)
        .filter(|name| !passed_over(name))
        .take(20)
        .cloned()
        .collect()
}
