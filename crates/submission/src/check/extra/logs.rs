//! What must hold for every detail log, whatever the run was.

use std::collections::HashMap;
use std::path::Path;

use ossmark_logs::detail_log::DetailLog;
use serde_json::Value;

use super::super::run::Run;
use crate::finding::Findings;
use crate::python;

/// LoadGen writes each of these once; in find-peak mode, which nobody submits, once a trial.
const WRITTEN_ONCE: [&str; 5] = [
    "requested_",
    "effective_",
    "result_",
    "early_stopping_",
    "generated_query_",
];

/// Reads a log as what LoadGen writes, and objects where it is not.
pub(super) fn read(
    run: &Run<'_>,
    file: &str,
    text: &str,
    findings: &mut Findings,
) -> Option<DetailLog> {
    let log = match DetailLog::parse(text.as_bytes(), Path::new(file)) {
        Ok(log) => log,
        Err(error) => {
            run.report(findings, "log.damaged", file, error.to_string());
            return None;
        }
    };
    if !log.is_complete() {
        let last = log.entries.last().map_or("nothing", |e| e.key.as_str());
        run.report(
            findings,
            "log.incomplete",
            file,
            format!("found {last} as the last entry, expected the lines that end a run"),
        );
    }
    stitched(run, file, &log, findings);
    seeds(run, file, &log, findings);
    loadgen(run, file, &log, findings);
    Some(log)
}

fn stitched(run: &Run<'_>, file: &str, log: &DetailLog, findings: &mut Findings) {
    let mut values: HashMap<&str, &Value> = HashMap::new();
    for entry in log
        .entries
        .iter()
        .filter(|e| WRITTEN_ONCE.iter().any(|prefix| e.key.starts_with(prefix)))
    {
        if let Some(before) = values.insert(&entry.key, &entry.value) {
            let message = format!(
                "found {} twice: {} and {}",
                entry.key,
                python::shown(before),
                python::shown(&entry.value)
            );
            run.report(findings, "log.stitched", file, message);
            return;
        }
    }
    let mut pids = log.entries.iter().map(|e| e.pid).filter(|pid| *pid != 0);
    let first = pids.next();
    if let Some((first, other)) = first.zip(pids.find(|pid| Some(*pid) != first)) {
        run.report(
            findings,
            "log.stitched",
            file,
            format!("found lines of process {first} and of process {other}"),
        );
        return;
    }
    // LoadGen's threads write through buffers of their own: small steps back are normal, 10 s are another run.
    let mut latest = f64::NEG_INFINITY;
    for entry in &log.entries {
        if entry.time_ms < latest - 10_000.0 {
            run.report(
                findings,
                "log.stitched",
                file,
                format!(
                    "found {} at {} ms after an entry at {latest} ms",
                    entry.key, entry.time_ms
                ),
            );
            return;
        }
        latest = latest.max(entry.time_ms);
    }
}

fn seeds(run: &Run<'_>, file: &str, log: &DetailLog, findings: &mut Findings) {
    // The performance run's are an official rule.
    if file.starts_with("performance/") {
        return;
    }
    let round = run.system.round;
    for (key, wanted) in [
        ("effective_qsl_rng_seed", &round.qsl_rng_seed),
        (
            "effective_sample_index_rng_seed",
            &round.sample_index_rng_seed,
        ),
        ("effective_schedule_rng_seed", &round.schedule_rng_seed),
    ] {
        if log.u64(key) != Some(wanted.value) {
            run.report(
                findings,
                "log.seeds",
                file,
                format!(
                    "found {key} {}, round {} has {}",
                    found(log, key),
                    run.system.round_name,
                    wanted.value
                ),
            );
        }
    }
}

fn loadgen(run: &Run<'_>, file: &str, log: &DetailLog, findings: &mut Findings) {
    let logged = log.str("loadgen_version").unwrap_or_default();
    let (version, revision) = logged.split_once(" @ ").unwrap_or((logged, "NA"));
    let accepted = &run.system.round.loadgen_versions.value;
    if !accepted.is_empty() && !accepted.iter().any(|v| v == version) {
        run.report(
            findings,
            "loadgen.version",
            file,
            format!(
                "found loadgen_version {logged:?}, expected {}",
                accepted.join(" or ")
            ),
        );
    }
    if revision == "NA" {
        run.report(
            findings,
            "loadgen.revision",
            file,
            format!("found loadgen_version {logged:?}, expected a git revision in it"),
        );
    }
    if log
        .str("loadgen_git_status_message")
        .is_some_and(|status| !["", "NA"].contains(&status.trim()))
    {
        run.report(
            findings,
            "loadgen.uncommitted",
            file,
            format!(
                "found git status {}",
                found(log, "loadgen_git_status_message")
            ),
        );
    }
    let known = &run.system.rules.loadgen.file_sha1;
    let Some(hashes) = log
        .last("loadgen_file_sha1")
        .and_then(Value::as_object)
        .filter(|_| version == known.version)
    else {
        return;
    };
    let modified: Vec<&str> = (known.files.iter())
        .filter(|(name, sha1)| {
            hashes
                .get(*name)
                .is_some_and(|found| found.as_str() != Some(sha1))
        })
        .map(|(name, _)| name.as_str())
        .collect();
    if !modified.is_empty() {
        run.report(
            findings,
            "loadgen.modified",
            file,
            format!(
                "found other hashes than LoadGen {version} has for {}",
                modified.join(", ")
            ),
        );
    }
}

/// All runs of a result are made with one LoadGen.
pub(super) fn same_loadgen(
    run: &Run<'_>,
    file: &str,
    log: &DetailLog,
    performance: Option<&str>,
    findings: &mut Findings,
) {
    let (Some(here), Some(there)) = (log.str("loadgen_version"), performance) else {
        return;
    };
    if here != there {
        run.report(
            findings,
            "loadgen.differs",
            file,
            format!("found LoadGen {here}, the performance run has {there}"),
        );
    }
}

/// Whether an audit.config was applied to the run.
pub(super) fn has_audit_config(log: &DetailLog) -> bool {
    log.warnings
        .iter()
        .any(|text| text.contains("Audit Config"))
}

/// Whether the samples that were loaded are 0..count, each once.
pub(super) fn loaded_once(log: &DetailLog, count: u64) -> Result<(), String> {
    let mut loaded: Vec<Option<u64>> = log
        .values("loaded_qsl_set")
        .filter_map(Value::as_array)
        .flatten()
        .map(Value::as_u64)
        .collect();
    let total = loaded.len();
    loaded.sort_unstable();
    let good = total as u64 == count
        && loaded
            .iter()
            .enumerate()
            .all(|(n, index)| *index == Some(n as u64));
    if good {
        return Ok(());
    }
    loaded.dedup();
    Err(format!(
        "found {total} loaded samples, {} of them different, expected each of {count} once",
        loaded.len()
    ))
}

/// A value for a message.
pub(super) fn found(log: &DetailLog, key: &str) -> String {
    log.last(key)
        .map_or_else(|| "nothing".into(), python::shown)
}
