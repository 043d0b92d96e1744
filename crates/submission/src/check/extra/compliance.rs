//! TEST07 and TEST09 beyond the words "TEST PASS": the text that the verification writes, and the logs of the test.

use std::path::Path;

use ossmark_logs::detail_log::DetailLog;
use ossmark_rules::ComplianceTest;

use super::super::run::{PERFORMANCE_RUN, Run};
use super::figures::{self, Range};
use super::logs::{self, found};
use super::verification::{number, test07, test09};
use super::{SeenRuns, accuracy, performance, scenario_of, speculation};
use crate::finding::Findings;
use crate::log::{Loaded, Log};
use crate::python;
use crate::tree::{self, TEXT_LIMIT, Text, read_text};
use ossmark_logs::{ACCURACY, DETAIL, SUMMARY};

pub(super) fn check(run: &Run<'_>, seen: &mut SeenRuns, findings: &mut Findings) {
    let rules = &run.system.rules.compliance;
    for (name, test) in [("TEST07", &rules.test07), ("TEST09", &rules.test09)] {
        if !run.dir.join(name).is_dir() {
            continue;
        }
        text(run, name, test, findings);
        log(run, name, test, findings);
        answers(run, name, seen, findings);
    }
    for name in tree::directories(&run.dir).unwrap_or_default() {
        let name = name.to_string_lossy();
        if name.starts_with("TEST") && name != "TEST07" && name != "TEST09" {
            run.report(
                findings,
                "compliance.other-test",
                &name,
                format!("found {name}, expected TEST07 and TEST09"),
            );
        }
    }
}

/// Every figure of the verification's text against every other, against the rules and against the test's own log.
fn text(run: &Run<'_>, name: &str, test: &ComplianceTest, findings: &mut Findings) {
    let file = format!("{name}/{}", test.result_file.value);
    let Text::Read(text) = read_text(&run.dir.join(&file), TEXT_LIMIT) else {
        return;
    };
    let mut report = |message: String| run.report(findings, "compliance.text", &file, message);
    // A line of its own, as the scripts write it; somewhere in a sentence it means nothing.
    let verdicts: Vec<&str> = python::lines(&text)
        .map(str::trim)
        .filter(|l| *l == "TEST PASS" || *l == "TEST FAIL")
        .collect();
    if verdicts != ["TEST PASS"] && text.contains("TEST PASS") {
        report(format!(
            "found {} lines that are a verdict, expected one \"TEST PASS\"",
            verdicts.len()
        ));
    }
    for message in figures::contradictions(&text) {
        report(message);
    }
    if let Some(low) = &test.min_score {
        test07(&text, low.value, &mut report);
    }
    if let (Some(low), Some(high)) = (&test.min_mean_tokens, &test.max_mean_tokens) {
        test09(&text, low.value, high.value, &mut report);
        let log = format!("{name}/{PERFORMANCE_RUN}/{DETAIL}");
        let logged = match Log::load(&run.dir.join(&log)) {
            Loaded::Log(_, text) => DetailLog::parse(text.as_bytes(), Path::new(&log)).ok(),
            _ => None,
        };
        let logged = logged.as_ref().and_then(performance::tokens_per_sample);
        if let (Some(mean), Some(logged)) = (number(&text, "Mean output tokens"), logged) {
            // LoadGen prints six digits of two rates, and counts a first token that the log of answers may not hold.
            let logged = Range::exactly(logged).or_so(1.0 + 2e-5 * logged);
            if !mean.meets(logged) {
                report(format!(
                    "found {mean} mean output tokens, but LoadGen's log of the test gives {logged}"
                ));
            }
        }
    }
    // TEST09's script writes the first, the reference scorer, which TEST07 may do without, the second.
    match number(&text, "Total samples").or_else(|| number(&text, "Total samples evaluated")) {
        None if name == "TEST09" => report("found no line \"Total samples:\"".into()),
        None => {}
        Some(samples) if !samples.meets(Range::exactly(test.sample_count.value as f64)) => {
            run.report(
                findings,
                "compliance.sample-count",
                &file,
                format!(
                    "found {samples} samples, expected {}",
                    test.sample_count.value
                ),
            );
        }
        Some(_) => {}
    }
}

fn log(run: &Run<'_>, name: &str, test: &ComplianceTest, findings: &mut Findings) {
    let file = format!("{name}/{PERFORMANCE_RUN}/{DETAIL}");
    let text = match Log::load(&run.dir.join(&file)) {
        Loaded::Log(_, text) => text,
        Loaded::Missing => {
            return run.report(
                findings,
                "compliance.logs-missing",
                &file,
                "not found, expected LoadGen's detail log of the test",
            );
        }
        Loaded::Broken(why) => return run.report(findings, "log.damaged", &file, why),
        Loaded::TooLarge(size) => {
            return run.report(
                findings,
                "tree.too-large-to-read",
                &file,
                format!("found {size} bytes"),
            );
        }
    };
    let summary = format!("{name}/{PERFORMANCE_RUN}/{SUMMARY}");
    if !run.dir.join(&summary).is_file() {
        run.report(
            findings,
            "compliance.logs-missing",
            &summary,
            "not found, expected LoadGen's summary of the test",
        );
    }
    let Some(log) = logs::read(run, &file, &text, findings) else {
        return;
    };
    speculation::check(run, &file, &log, findings);
    let performance = run
        .performance
        .as_ref()
        .and_then(|log| log.value("loadgen_version").ok())
        .and_then(|v| v.as_str());
    logs::same_loadgen(run, &file, &log, performance, findings);
    if log.error_count > 0 {
        let first = log.errors.first().map(String::as_str).unwrap_or_default();
        run.report(
            findings,
            "compliance.loadgen-errors",
            &file,
            format!("found {} errors, the first: {first:.200}", log.error_count),
        );
    }
    samples(run, &file, test, &log, findings);
    settings(run, &file, test, &log, findings);
}

fn samples(
    run: &Run<'_>,
    file: &str,
    test: &ComplianceTest,
    log: &DetailLog,
    findings: &mut Findings,
) {
    let wanted = test.sample_count.value;
    let mut report =
        |message: String| run.report(findings, "compliance.sample-count", file, message);
    for key in [
        "qsl_reported_total_count",
        "effective_performance_sample_count",
    ] {
        if log.u64(key) != Some(wanted) {
            report(format!(
                "found {key} {}, expected {wanted}",
                found(log, key)
            ));
        }
    }
    let issued = log
        .u64("generated_query_count")
        .zip(log.u64("generated_samples_per_query"))
        .map(|(q, s)| q.saturating_mul(s));
    let once = run.system.round.compliance_issue_unique.value;
    if issued.is_none_or(|n| if once { n != wanted } else { n < wanted }) {
        report(format!(
            "found {} samples issued, expected {wanted}",
            issued.unwrap_or_default()
        ));
    }
    if let Err(message) = logs::loaded_once(log, wanted) {
        report(message);
    }
}

fn settings(
    run: &Run<'_>,
    file: &str,
    test: &ComplianceTest,
    log: &DetailLog,
    findings: &mut Findings,
) {
    let rules = &run.system.rules.compliance;
    let mut report = |message: String| run.report(findings, "compliance.settings", file, message);
    if !logs::has_audit_config(log) {
        report("found no sign that an audit.config was applied".into());
    }
    let seed = rules.common.accuracy_log_rng_seed.value;
    if log.u64("effective_accuracy_log_rng_seed") != Some(seed) {
        report(format!(
            "found effective_accuracy_log_rng_seed {}, expected {seed}",
            found(log, "effective_accuracy_log_rng_seed")
        ));
    }
    let unique = run.system.round.compliance_issue_unique.value;
    if unique && log.bool("effective_performance_issue_unique") != Some(true) {
        report(format!(
            "found effective_performance_issue_unique {}, expected true",
            found(log, "effective_performance_issue_unique")
        ));
    }
    if log.u64("effective_accuracy_log_sampling_target") < Some(test.min_log_target.value) {
        report(format!(
            "found effective_accuracy_log_sampling_target {}, expected at least {}",
            found(log, "effective_accuracy_log_sampling_target"),
            test.min_log_target.value
        ));
    }
    if log.str("effective_test_mode") != Some("PerformanceOnly") {
        report(format!(
            "found effective_test_mode {}, expected \"PerformanceOnly\"",
            found(log, "effective_test_mode")
        ));
    }
    if let Some(scenario) = scenario_of(&run.folder) {
        let wanted = &run.system.rules.scenario(scenario).loadgen_scenario.value;
        if log.str("effective_scenario") != Some(wanted) {
            report(format!(
                "found effective_scenario {}, expected {wanted:?}",
                found(log, "effective_scenario")
            ));
        }
    }
}

/// The log of the answers, truncated, and the hash of the whole.
fn answers(run: &Run<'_>, name: &str, seen: &mut SeenRuns, findings: &mut Findings) {
    let file = format!("{name}/accuracy/{ACCURACY}");
    let limit = run.system.rules.accuracy.max_log_bytes.value;
    match tree::size(&run.dir.join(&file)) {
        None => run.report(
            findings,
            "compliance.logs-missing",
            &file,
            "not found, expected the truncated log of the answers",
        ),
        Some(size) if size > limit => run.report(
            findings,
            "compliance.not-truncated",
            &file,
            format!("found {size} bytes, expected at most {limit}"),
        ),
        Some(_) => {}
    }
    let file = format!("{name}/accuracy/accuracy.txt");
    match read_text(&run.dir.join(&file), TEXT_LIMIT) {
        Text::Read(text) => {
            for message in figures::contradictions(&text) {
                run.report(findings, "compliance.text", &file, message);
            }
            if !python::lines(&text).any(|line| super::super::official::hash_in(line).is_some()) {
                run.report(
                    findings,
                    "compliance.hash-missing",
                    &file,
                    "found no line hash=, expected the SHA-256 of the whole log",
                );
            }
            accuracy::hash(
                run,
                &format!("{name}/accuracy"),
                ["compliance.hash", "compliance.hash-truncated"],
                Some(&text),
                seen,
                findings,
            );
        }
        _ => run.report(
            findings,
            "compliance.logs-missing",
            &file,
            "found no text, expected the hash of the whole log",
        ),
    }
}
