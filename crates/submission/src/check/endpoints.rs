//! The layout of mlcommons/endpoints, accepted beside LoadGen's since v6.1: config.yaml, performance/result_summary.json and
//! accuracy/accuracy_results.json stand for the two logs. Owns where in those files the values are that the official checks
//! ask for.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use super::run::Run;
use crate::finding::Findings;
use crate::log::Log;
use crate::python;
use crate::tree::{Text, read_text};

/// A description or a summary; far below a LoadGen log.
const LIMIT: u64 = 4 << 20;
/// A configuration.
const YAML_LIMIT: u64 = 256 << 10;

/// Key of LoadGen's log, its names in the JSON files, its name in config.yaml. Source: checker, constants.py.
const FIELDS: [(&str, &[&str], &str); 13] = [
    ("effective_scenario", &["effective_scenario"], "type"),
    (
        "effective_min_duration_ms",
        &["min_duration_ms"],
        "settings.runtime.min_duration_ms",
    ),
    (
        "effective_sample_index_rng_seed",
        &["effective_sample_index_rng_seed"],
        "settings.runtime.dataloader_random_seed",
    ),
    (
        "effective_schedule_rng_seed",
        &["effective_schedule_rng_seed"],
        "settings.runtime.scheduler_random_seed",
    ),
    (
        "qsl_reported_total_count",
        &["n_samples_issued"],
        "n_samples_issued",
    ),
    (
        "generated_query_count",
        &["generated_query_count", "n_samples_issued"],
        "generated_query_count",
    ),
    ("generated_query_duration", &["duration_ns"], "duration_ns"),
    ("result_completed_samples_per_sec", &["qps"], "qps"),
    ("result_completed_tokens_per_second", &["tps"], "tps"),
    (
        "result_first_token_99.00_percentile_latency_ns",
        &["ttft.early_stopping_percentiles.99.0"],
        "ttft.early_stopping_percentiles.99.0",
    ),
    (
        "result_time_per_output_token_99.00_percentile_ns",
        &["tpot.early_stopping_percentiles.99.0"],
        "tpot.early_stopping_percentiles.99.0",
    ),
    (
        "num_errors",
        &["result.failed", "n_samples_failed"],
        "result.failed",
    ),
    (
        "mean_output_tokens",
        &["output_sequence_lengths.avg"],
        "output_sequence_lengths.avg",
    ),
];

/// Both halves of a result that has no LoadGen log, the performance first.
pub(super) fn read(run: &Run<'_>, findings: &mut Findings) -> Option<(Log, Log)> {
    let yaml = ["config.yaml", "config.yml"]
        .iter()
        .find_map(|name| yaml(&run.dir.join(name)))
        .unwrap_or(Value::Null);
    let summary =
        json_file(&run.dir.join("performance/result_summary.json")).unwrap_or(Value::Null);
    let scores =
        json_file(&run.dir.join("accuracy/accuracy_results.json")).unwrap_or_else(|| json!({}));

    let performance = values(&summary, &yaml);
    let scenario = performance.get("effective_scenario");
    let folder_decides = ["interactive", "singlestream"]
        .iter()
        .any(|name| run.folder.eq_ignore_ascii_case(name));
    if !folder_decides && !scenario.is_some_and(Value::is_string) {
        let found = scenario.map_or_else(|| "nothing".into(), python::shown);
        run.report(
            findings,
            "endpoints.crash",
            "config.yaml",
            format!(
                "found no LoadGen log, and {found} where the type of an endpoints run should be"
            ),
        );
        return None;
    }
    match with_rate(performance)
        .and_then(|p| Ok((p, with_scores(with_rate(values(&scores, &yaml))?, &scores)?)))
    {
        Ok((mut performance, accuracy)) => {
            // The directory's name decides, whatever the client called it.
            performance
                .entry("effective_scenario")
                .or_insert_with(|| json!(run.folder));
            Some((
                Log::of_endpoints(owned(performance)),
                Log::of_endpoints(owned(accuracy)),
            ))
        }
        Err(why) => {
            run.report(
                findings,
                "endpoints.crash",
                "accuracy/accuracy_results.json",
                why,
            );
            None
        }
    }
}

/// TEST07's report, and the mean of output tokens in place of TEST09.
pub(super) fn compliance(run: &Run<'_>, findings: &mut Findings) {
    let name = "accuracy_in_performance_full_test";
    let file = format!("audit/audit_{name}.json");
    if run.dir.join(&file).exists() {
        let report = json_file(&run.dir.join(&file));
        let passed = report.as_ref().is_some_and(|r| {
            r.get("test").and_then(Value::as_str) == Some(name)
                && r.get("passed").is_some_and(python::truthy)
        });
        if !passed {
            run.report(
                findings,
                "endpoints.audit",
                &file,
                format!("found no report of {name} that passed"),
            );
        }
    }
    let Some(log) = &run.performance else { return };
    let test = &run.system.rules.compliance.test09;
    if let (Some(low), Some(high)) = (&test.min_mean_tokens, &test.max_mean_tokens) {
        let good = log
            .number("mean_output_tokens")
            .is_some_and(|n| n.is_nan() || (low.value..=high.value).contains(&n));
        if !good {
            let found = log.shown("mean_output_tokens");
            run.report(
                findings,
                "endpoints.value",
                "performance/result_summary.json",
                format!(
                    "found a mean of {found} output tokens, expected {} to {}",
                    low.value, high.value
                ),
            );
        }
    }
}

type Values = HashMap<&'static str, Value>;

fn owned(values: Values) -> HashMap<String, Value> {
    values
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn values(json: &Value, yaml: &Value) -> Values {
    let found = FIELDS.iter().filter_map(|&(key, names, in_yaml)| {
        let value = names.iter().find_map(|name| nested(json, name));
        let value = value
            .or_else(|| nested(yaml, in_yaml))
            .or_else(|| nested(yaml, names[0]))?;
        Some((key, value.clone()))
    });
    found.collect()
}

/// Samples per second from count and duration, where the client gave none.
fn with_rate(mut values: Values) -> Result<Values, String> {
    let truthy =
        |values: &Values, key: &str| values.get(key).filter(|v| python::truthy(v)).cloned();
    let parts = (
        truthy(&values, "generated_query_duration"),
        truthy(&values, "generated_query_count"),
        truthy(&values, "effective_scenario"),
    );
    if let (Some(duration), Some(count), Some(scenario)) = parts {
        let scenario = scenario
            .as_str()
            .ok_or("found a type that is no text")?
            .to_lowercase();
        let key = if scenario == "offline" {
            "result_samples_per_second"
        } else {
            "result_completed_samples_per_sec"
        };
        if !values.contains_key(key) {
            let (Some(duration), Some(count)) = (python::number(&duration), python::number(&count))
            else {
                return Err("found a count or a duration that is no number".into());
            };
            values.insert(key, json!(count / (duration / 1e9)));
        }
    }
    Ok(values)
}

/// The first score, and how many samples all of them are over.
fn with_scores(mut values: Values, results: &Value) -> Result<Values, String> {
    let results = results.as_object().ok_or("found JSON that is no object")?;
    let empty = Vec::new();
    let scores = match results.get("accuracy_scores") {
        None => &empty,
        // An empty object has nothing to look at either.
        Some(Value::Object(none)) if none.is_empty() => &empty,
        Some(scores) => scores
            .as_array()
            .ok_or("found accuracy_scores that are no list")?,
    };
    let mut samples = None;
    for score in scores {
        let score = score
            .as_object()
            .ok_or("found an accuracy score that is no object")?;
        let counted = score
            .get("dataset_type")
            .is_none_or(|kind| kind.is_null() || kind == "accuracy");
        if counted {
            let total = score.get("total_samples").filter(|v| !v.is_null());
            let total = total.or_else(|| {
                score
                    .get("response_counts")?
                    .get("issued")
                    .filter(|v| !v.is_null())
            });
            if let Some(total) = total {
                let total =
                    python::int(total).ok_or("found a number of samples that is no number")?;
                samples = Some(samples.unwrap_or(0_i64).saturating_add(total));
            }
        }
        if let Some(score) = score.get("score").filter(|v| !v.is_null()) {
            values
                .entry("accuracy_score")
                .or_insert_with(|| score.clone());
        }
    }
    if let Some(samples) = samples {
        values.insert("effective_accuracy_sample_count", json!(samples));
    }
    if values
        .remove("num_errors")
        .is_some_and(|n| python::truthy(&n))
    {
        values.insert("num_errors", json!(true));
    }
    Ok(values)
}

/// A value by a path with dots. A key may hold dots itself: the longest that fits is taken.
fn nested<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let parts: Vec<&str> = path.split('.').collect();
    let (mut current, mut at) = (value, 0);
    while at < parts.len() {
        let Some(object) = current.as_object() else {
            // A percentile "50.0" may stand under "50".
            return (at > 0 && parts[at..] == ["0"] && !current.is_array()).then_some(current);
        };
        let end = (at + 1..=parts.len())
            .rev()
            .find(|end| object.contains_key(&parts[at..*end].join(".")))?;
        current = &object[&parts[at..end].join(".")];
        at = end;
    }
    let is_empty = current.is_null()
        || current.as_object().is_some_and(|o| o.is_empty())
        || current.as_array().is_some_and(|a| a.is_empty());
    (!is_empty).then_some(current)
}

fn json_file(path: &Path) -> Option<Value> {
    match read_text(path, LIMIT) {
        Text::Read(text) => python::loads(&text).ok(),
        _ => None,
    }
}

fn yaml(path: &Path) -> Option<Value> {
    match read_text(path, YAML_LIMIT) {
        // The parser bounds depth, nodes and aliases by itself.
        Text::Read(text) => serde_saphyr::from_str(&text).ok(),
        _ => None,
    }
}
