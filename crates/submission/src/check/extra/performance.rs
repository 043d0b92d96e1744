//! The performance run beyond the official checks.

use ossmark_logs::detail_log::DetailLog;
use ossmark_logs::summary::Summary;
use ossmark_rules::Scenario;
use sha2::{Digest, Sha256};

use super::super::run::{PERFORMANCE_RUN, Run};
use super::logs::{self, found};
use super::{SeenRuns, scenario_of, speculation};
use crate::finding::Findings;
use crate::python;
use crate::tree::{TEXT_LIMIT, Text, read_text};
use ossmark_logs::{DETAIL, SUMMARY};

/// Settings that LoadGen's own mlperf.conf leaves alone, and that nobody is to change: with others the run measures something
/// else. Source: mlperf.conf.
const FIXED: [(&str, &str); 4] = [
    ("effective_performance_issue_unique", "false"),
    ("effective_performance_issue_same", "false"),
    ("effective_target_latency_percentile", "0.99"),
    ("requested_server_coalesce_queries", "false"),
];

/// Those that a run may have other values of and still hold the rules' counts, which are looked at by themselves.
const UNUSUAL: [(&str, &str); 3] = [
    ("effective_max_duration_ms", "0"),
    ("effective_max_query_count", "0"),
    ("effective_accuracy_log_sampling_target", "0"),
];

/// Relative difference that LoadGen's six printed digits explain.
const ROUNDING: f64 = 2e-3;

pub(super) fn check(
    run: &Run<'_>,
    seen: &mut SeenRuns,
    findings: &mut Findings,
) -> Option<DetailLog> {
    run.performance.as_ref()?;
    let file = format!("{PERFORMANCE_RUN}/{DETAIL}");
    let log = logs::read(run, &file, &run.performance_text, findings)?;
    speculation::check(run, &file, &log, findings);
    let mut report =
        |rule: &'static str, message: String| run.report(findings, rule, &file, message);
    if log.str("result_validity") != Some("VALID") {
        report(
            "performance.result-invalid",
            format!(
                "found result_validity {}, expected \"VALID\"",
                found(&log, "result_validity")
            ),
        );
    }
    if log.error_count > 0 {
        let first = log.errors.first().map(String::as_str).unwrap_or_default();
        report(
            "performance.loadgen-errors",
            format!("found {} errors, the first: {first:.200}", log.error_count),
        );
    }
    if log.str("effective_test_mode") != Some("PerformanceOnly") {
        report(
            "performance.mode",
            format!(
                "found effective_test_mode {}, expected \"PerformanceOnly\"",
                found(&log, "effective_test_mode")
            ),
        );
    }
    if logs::has_audit_config(&log) {
        report(
            "performance.audit-config",
            "found that an audit.config was applied".into(),
        );
    }
    for (rule, settings) in [
        ("performance.settings", FIXED.as_slice()),
        ("performance.settings-unusual", &UNUSUAL),
    ] {
        for &(key, wanted) in settings {
            let value = log.last(key).map(ToString::to_string);
            if value.is_some_and(|value| value != wanted) {
                report(
                    rule,
                    format!("found {key} {}, expected {wanted}", found(&log, key)),
                );
            }
        }
    }
    let rules = run.system.rules;
    let equal_issue = "effective_sample_concatenate_permutation";
    if rules.performance.equal_issue.value && log.bool(equal_issue) != Some(true) {
        report(
            "performance.equal-issue",
            format!(
                "found {equal_issue} {}, expected true",
                found(&log, equal_issue)
            ),
        );
    }
    if let Err(message) = logs::loaded_once(&log, rules.performance.sample_count.value) {
        report("performance.samples", message);
    }
    permutations(&log, rules.performance.sample_count.value, &mut report);
    limits(run, &log, &mut report);
    numbers(run, &log, &mut report);
    if let Some(other) = seen
        .performance
        .insert(fingerprint(&log, &run.performance_text), run.path.clone())
    {
        report(
            "performance.same-log",
            format!("found the run that {other} holds as well"),
        );
    }
    summary(run, &log, findings);
    Some(log)
}

/// What two runs never have in common.
fn fingerprint(log: &DetailLog, text: &str) -> String {
    let keys = [
        "test_datetime",
        "result_min_latency_ns",
        "result_max_latency_ns",
        "result_mean_latency_ns",
        "result_50.00_percentile_latency_ns",
    ];
    let values: Vec<String> = keys
        .iter()
        .filter_map(|key| log.last(key))
        .map(ToString::to_string)
        .collect();
    if values.len() == keys.len() {
        return values.join(" ");
    }
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn permutations(log: &DetailLog, samples: u64, report: &mut impl FnMut(&'static str, String)) {
    let (Some(queries), Some(per_query)) = (
        log.u64("generated_query_count"),
        log.u64("generated_samples_per_query"),
    ) else {
        return;
    };
    let issued = queries.saturating_mul(per_query);
    if issued == 0 || issued % samples != 0 {
        report(
            "performance.permutations",
            format!("found {issued} samples issued, expected a multiple of {samples}"),
        );
    }
    if log
        .u64("result_query_count")
        .is_some_and(|finished| finished != queries)
    {
        report(
            "performance.inconsistent",
            format!(
                "found {queries} queries issued and {} in the result",
                found(log, "result_query_count")
            ),
        );
    }
}

/// The limits of the directory's scenario, both as asked for and as measured.
fn limits(run: &Run<'_>, log: &DetailLog, report: &mut impl FnMut(&'static str, String)) {
    let Some(scenario) = scenario_of(&run.folder) else {
        return;
    };
    let rules = run.system.rules.scenario(scenario);
    for (asked, measured, limit) in [
        (
            "requested_server_ttft_latency",
            "result_first_token_99.00_percentile_latency_ns",
            &rules.ttft_latency_ns,
        ),
        (
            "requested_server_tpot_latency",
            "result_time_per_output_token_99.00_percentile_ns",
            &rules.tpot_latency_ns,
        ),
    ] {
        let Some(limit) = limit else { continue };
        if log.u64(asked).is_none_or(|ns| ns > limit.value) {
            report(
                "performance.relaxed-limit",
                format!(
                    "found {asked} {}, expected at most {} ({})",
                    found(log, asked),
                    limit.value,
                    limit.source
                ),
            );
        }
        // In the other scenarios this is an official rule.
        if scenario == Scenario::Interactive
            && !log.f64(measured).is_some_and(|ns| ns < limit.value as f64)
        {
            report(
                "performance.interactive-limits",
                format!(
                    "found {measured} {}, expected less than {} ({})",
                    found(log, measured),
                    limit.value,
                    limit.source
                ),
            );
        }
    }
}

/// Where LoadGen writes the rates of samples and of tokens.
fn rates(log: &DetailLog) -> (&'static str, &'static str) {
    match log.str("effective_scenario") == Some("Offline") {
        true => ("result_samples_per_second", "result_tokens_per_second"),
        false => (
            "result_completed_samples_per_sec",
            "result_completed_tokens_per_second",
        ),
    }
}

/// Mean length of the answers, from rates of six digits.
pub(super) fn tokens_per_sample(log: &DetailLog) -> Option<f64> {
    let (samples, tokens) = rates(log);
    Some(log.f64(tokens)? / log.f64(samples)?)
}

/// Numbers of one log that follow from each other.
fn numbers(run: &Run<'_>, log: &DetailLog, report: &mut impl FnMut(&'static str, String)) {
    let near = |a: f64, b: f64| (a - b).abs() <= ROUNDING * a.abs().max(b.abs());
    let is_offline = log.str("effective_scenario") == Some("Offline");
    let (samples_key, tokens_key) = rates(log);
    if let (true, Some(rate), Some(last_ns), Some(issued)) = (
        is_offline,
        log.f64(samples_key),
        log.f64("result_max_latency_ns"),
        log.f64("generated_samples_per_query"),
    ) {
        let computed = issued / (last_ns / 1e9);
        if !near(rate, computed) {
            report(
                "performance.inconsistent",
                format!(
                    "found {samples_key} {rate}, but {issued} samples in {:.3} s are {computed:.3} a second",
                    last_ns / 1e9
                ),
            );
        }
    }
    let wanted_ms = run.system.rules.performance.min_duration_ms.value as f64;
    let lasted_ms = match is_offline {
        true => log.f64("result_max_latency_ns").map(|ns| ns / 1e6),
        false => log.f64("generated_query_duration").map(|ns| ns / 1e6),
    };
    if lasted_ms.is_some_and(|ms| ms < wanted_ms)
        && log.u64("effective_min_duration_ms") >= Some(wanted_ms as u64)
    {
        report(
            "performance.inconsistent",
            format!(
                "found a run of {:.1} s, expected at least {:.0} s",
                lasted_ms.unwrap_or_default() / 1e3,
                wanted_ms / 1e3
            ),
        );
    }
    let ordered = ["50.00", "90.00", "95.00", "97.00", "99.00", "99.90"]
        .map(|p| log.f64(&format!("result_{p}_percentile_latency_ns")));
    if ordered
        .windows(2)
        .any(|pair| matches!(pair, [Some(low), Some(high)] if low > high))
    {
        report(
            "performance.inconsistent",
            "found latency percentiles that do not ascend".into(),
        );
    }
    let bounds = &run.system.rules.compliance.test09;
    if let (Some(mean), Some(low), Some(high)) = (
        tokens_per_sample(log),
        &bounds.min_mean_tokens,
        &bounds.max_mean_tokens,
    ) && !(low.value..=high.value).contains(&mean)
    {
        report(
            "performance.tokens-per-sample",
            format!(
                "found {tokens_key} {} at {} samples a second, {mean:.1} tokens a sample; TEST09 allows {} to {}",
                found(log, tokens_key),
                found(log, samples_key),
                low.value,
                high.value
            ),
        );
    }
}

/// The summary says what the detail log says.
fn summary(run: &Run<'_>, log: &DetailLog, findings: &mut Findings) {
    let file = format!("{PERFORMANCE_RUN}/{SUMMARY}");
    let text = match read_text(&run.dir.join(&file), TEXT_LIMIT) {
        Text::Read(text) if !text.trim().is_empty() => text,
        Text::Unreadable(why) => return run.report(findings, "performance.summary", &file, why),
        Text::TooLarge(size) => {
            return run.report(
                findings,
                "performance.summary",
                &file,
                format!("found {size} bytes, expected some kB"),
            );
        }
        Text::Missing | Text::Read(_) => {
            return run.report(
                findings,
                "performance.summary",
                &file,
                "not found, expected LoadGen's summary",
            );
        }
    };
    let summary = Summary::parse(&text);
    for (name, key) in [
        ("Result is", "result_validity"),
        ("SUT name", "sut_name"),
        ("Scenario", "effective_scenario"),
        ("Samples per second", "result_samples_per_second"),
        ("Tokens per second", "result_tokens_per_second"),
        (
            "Completed samples per second",
            "result_completed_samples_per_sec",
        ),
        (
            "Completed tokens per second",
            "result_completed_tokens_per_second",
        ),
        ("qsl_rng_seed", "effective_qsl_rng_seed"),
        ("sample_index_rng_seed", "effective_sample_index_rng_seed"),
        ("schedule_rng_seed", "effective_schedule_rng_seed"),
        (
            "performance_sample_count",
            "effective_performance_sample_count",
        ),
        ("min_duration (ms)", "effective_min_duration_ms"),
    ] {
        let (Some(there), Some(here)) = (summary.get(name), log.last(key)) else {
            continue;
        };
        let logged = python::text(here);
        let same = there == logged || same_number(there, &logged);
        if !same {
            run.report(
                findings,
                "performance.summary-differs",
                &file,
                format!("found {name} {there}, the detail log has {logged}"),
            );
        }
    }
    if summary.result.is_none() {
        run.report(
            findings,
            "performance.summary-differs",
            &file,
            "found no line \"Result is\"",
        );
    }
    if summary
        .errors
        .is_some_and(|errors| errors != log.error_count)
    {
        run.report(
            findings,
            "performance.summary-differs",
            &file,
            format!(
                "found {} errors, the detail log has {}",
                summary.errors.unwrap_or_default(),
                log.error_count
            ),
        );
    }
}

/// Whether the summary's number is the detail log's, in the fewer digits that the summary has.
fn same_number(summary: &str, detail: &str) -> bool {
    let (Ok(a), Ok(b)) = (summary.parse::<f64>(), detail.parse::<f64>()) else {
        return false;
    };
    // Whole numbers are printed in full.
    let Some((_, digits)) = summary.split_once('.') else {
        return false;
    };
    let decimals = digits.len();
    let half_a_digit = 0.501 * 10_f64.powi(-i32::try_from(decimals).unwrap_or(0));
    (a - b).abs() <= (1e-4 * b.abs()).max(half_a_digit)
}
