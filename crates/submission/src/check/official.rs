//! What MLCommons' own checker objects to, rule by rule. Ideas, limits and order of its checks are followed, so that a
//! verdict from these alone is its verdict; every message is ours. Where it fails by an exception inside one check, the
//! value that caused it is what is reported.

mod accuracy;
mod compliance;
mod measurements;
mod performance;
mod power;
mod system;

use std::ffi::OsString;

use super::run::Run;
use super::system::System;
use crate::finding::Findings;

pub(crate) use accuracy::hash_in;
pub(super) use system::{system, system_type_is_known};

/// What one result comes to.
pub(super) struct Measured {
    /// Tokens per second; none where the log gives no number.
    pub(super) metric: Option<f64>,
    /// As accuracy.txt gives it.
    pub(super) score: Option<String>,
}

/// All checks of one result. None needs another's outcome; the findings come in the official checker's order.
pub(super) fn run(run: &Run<'_>, findings: &mut Findings) -> Measured {
    let measured = Measured {
        metric: performance::check(run, findings),
        score: accuracy::check(run, findings),
    };
    measurements::check(run, findings);
    power::check(run, findings);
    compliance::check(run, findings);
    measured
}

/// Whether the scenarios of a benchmark are those that it must have; each of its results is invalid if not.
pub(super) fn scenarios(
    system: &System<'_>,
    path: &str,
    names: &[OsString],
    type_known: bool,
    findings: &mut Findings,
) {
    if !type_known {
        return;
    }
    let submission = &system.rules.submission;
    let system_type = system
        .json
        .as_ref()
        .and_then(|json| json.get("system_type"))
        .and_then(|t| t.as_str());
    if system_type.is_some_and(|t| {
        !submission
            .benchmark_system_types
            .value
            .iter()
            .any(|known| known == t)
    }) {
        let message = format!(
            "found system_type {:?}, expected {}",
            system_type.unwrap_or_default(),
            submission.benchmark_system_types.value.join(" or ")
        );
        findings.invalidating(path, "system.type-edge", &system.json_path(), message);
        return;
    }
    // Without a scenario there is no result to be made invalid, and the official checker says nothing.
    if names.is_empty() {
        return;
    }
    let names: Vec<String> = names
        .iter()
        .map(|name| name.to_string_lossy().to_lowercase())
        .collect();
    let has = |wanted: &String| names.contains(&wanted.to_lowercase());
    let (required, one_of) = (
        &submission.required_scenarios.value,
        &submission.one_of_scenarios.value,
    );
    let mut missing: Vec<String> = required.iter().filter(|s| !has(s)).cloned().collect();
    if !one_of.iter().any(has) {
        missing.push(one_of.join(" or "));
    }
    if !missing.is_empty() {
        findings.invalidating(
            path,
            "scenario.missing",
            path,
            format!("found {}, missing {}", names.join(", "), missing.join(", ")),
        );
    }
    let known: Vec<String> = required
        .iter()
        .chain(one_of)
        .map(|s| s.to_lowercase())
        .collect();
    for name in names.iter().filter(|name| !known.contains(name)) {
        findings.invalidating(
            path,
            "scenario.unknown",
            &format!("{path}/{name}"),
            format!("found scenario {name}, expected {}", known.join(", ")),
        );
    }
}
