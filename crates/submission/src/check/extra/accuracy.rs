//! The accuracy run beyond the official checks.

use sha2::{Digest, Sha256};

use super::super::official::hash_in;
use super::super::run::Run;
use super::figures::{self, Range};
use super::logs::{self, found};
use super::{SeenRuns, scenario_of, speculation};
use crate::finding::Findings;
use crate::python;
use crate::tree::{Text, read_text};
use crate::truncate::MARK;
use ossmark_logs::{ACCURACY, DETAIL, SUMMARY};

pub(super) fn check(run: &Run<'_>, seen: &mut SeenRuns, findings: &mut Findings) {
    let text = run.score_text.as_deref().unwrap_or_default();
    for message in figures::contradictions(text) {
        run.report(
            findings,
            "accuracy.figures",
            "accuracy/accuracy.txt",
            message,
        );
    }
    if figures::is_bare_score(text) {
        run.report(
            findings,
            "accuracy.bare-score",
            "accuracy/accuracy.txt",
            "found 'exact_match' and no counts that it follows from",
        );
    }
    let wanted = run.system.rules.accuracy.sample_count.value;
    for samples in figures::samples(text) {
        if !samples.meets(Range::exactly(wanted as f64)) {
            run.report(
                findings,
                "accuracy.figures",
                "accuracy/accuracy.txt",
                format!("found {samples} samples evaluated, expected {wanted}"),
            );
        }
    }
    hash(
        run,
        "accuracy",
        ["accuracy.hash", "accuracy.hash-truncated"],
        run.score_text.as_deref(),
        seen,
        findings,
    );
    if !run.dir.join("accuracy").join(SUMMARY).is_file() {
        run.report(
            findings,
            "accuracy.summary",
            &format!("accuracy/{SUMMARY}"),
            "not found, expected LoadGen's summary",
        );
    }
    if run.accuracy.is_none() {
        return;
    }
    let file = format!("accuracy/{DETAIL}");
    let Some(log) = logs::read(run, &file, &run.accuracy_text, findings) else {
        return;
    };
    speculation::check(run, &file, &log, findings);
    let performance = run
        .performance
        .as_ref()
        .and_then(|log| log.value("loadgen_version").ok())
        .and_then(|v| v.as_str());
    logs::same_loadgen(run, &file, &log, performance, findings);
    let mut report =
        |rule: &'static str, message: String| run.report(findings, rule, &file, message);
    if log.str("effective_test_mode") != Some("AccuracyOnly") {
        report(
            "accuracy.mode",
            format!(
                "found effective_test_mode {}, expected \"AccuracyOnly\"",
                found(&log, "effective_test_mode")
            ),
        );
    }
    if let Some(scenario) = scenario_of(&run.folder) {
        let wanted = &run.system.rules.scenario(scenario).loadgen_scenario.value;
        if log.str("effective_scenario") != Some(wanted) {
            report(
                "accuracy.scenario",
                format!(
                    "found effective_scenario {}, expected {wanted:?}",
                    found(&log, "effective_scenario")
                ),
            );
        }
    }
    if logs::has_audit_config(&log) {
        report(
            "accuracy.audit-config",
            "found that an audit.config was applied".into(),
        );
    }
    if let Err(message) = logs::loaded_once(&log, run.system.rules.accuracy.sample_count.value) {
        report("accuracy.samples", message);
    }
    let keys = [
        "test_datetime",
        "generated_query_duration",
        "power_begin",
        "power_end",
    ];
    let fingerprint: Vec<String> = keys.iter().map(|key| found(&log, key)).collect();
    if let Some(other) = seen
        .accuracy
        .insert(fingerprint.join(" "), run.path.clone())
    {
        report(
            "accuracy.same-log",
            format!("found the run that {other} holds as well"),
        );
    }
}

/// accuracy.txt names the hash of the log before it was truncated. What can be known without that log: what a hash looks
/// like, that two logs do not share one, and that it is the hash of the file where the file is still whole.
pub(super) fn hash(
    run: &Run<'_>,
    directory: &str,
    [rule, truncated]: [&'static str; 2],
    text: Option<&str>,
    seen: &mut SeenRuns,
    findings: &mut Findings,
) {
    let file = format!("{directory}/accuracy.txt");
    let Some(text) = text else { return };
    let hashes: Vec<&str> = python::lines(text).filter_map(hash_in).collect();
    let Some(&hash) = hashes.last() else { return };
    if hashes.iter().any(|other| *other != hash) {
        run.report(
            findings,
            rule,
            &file,
            format!("found {} different hashes, expected one", hashes.len()),
        );
    }
    let hash = hash.to_lowercase();
    let mut digits: Vec<char> = hash.chars().collect();
    digits.sort_unstable();
    digits.dedup();
    // Of 64 random digits, 8 or fewer different ones are not seen in the life of the universe.
    if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) || digits.len() <= 8 {
        run.report(
            findings,
            rule,
            &file,
            format!("found hash {hash:.80}, expected the 64 digits of a SHA-256"),
        );
        return;
    }
    let log_file = format!("{directory}/{ACCURACY}");
    let limit = run.system.rules.accuracy.max_log_bytes.value;
    // The log itself is looked at in its truncated size only; a whole one is a finding of its own.
    let Text::Read(log) = read_text(&run.dir.join(&log_file), limit) else {
        return;
    };
    let digest: String = Sha256::digest(log.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let is_truncated = log.contains(MARK);
    if is_truncated && digest == hash {
        run.report(
            findings,
            truncated,
            &file,
            "found the hash of the truncated log, expected that of the whole one",
        );
    } else if !is_truncated && digest != hash {
        run.report(
            findings,
            rule,
            &file,
            format!("found hash {hash}, but {log_file} is whole and has {digest}"),
        );
    }
    // Two scenarios may well have the same answers; two different logs cannot have one hash.
    let here = (run.at(&file), digest);
    let other = seen.hashes.insert(hash, here.clone());
    if let Some((other, _)) = other.filter(|(_, there)| *there != here.1) {
        run.report(
            findings,
            rule,
            &file,
            format!("found the hash that {other} has for another log"),
        );
    }
}
