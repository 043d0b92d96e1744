//! Honest runs for tests: LoadGen's schedule, answered by a machine whose times vary, and the log that LoadGen would write.

use std::num::NonZeroU32;

use ossmark_logs::detail_log::EffectiveSettings;
use ossmark_predict::{
    Lengths, Plan, Seeds, Service, Slots, offline, server as schedule, simulate,
};
use ossmark_record::{Row, percentile};
use rand_mt::Mt64;
use serde_json::{Value, json};

use crate::logged::{Logged, logged};

fn plan(seed: u64) -> Plan {
    Plan {
        target_qps: 50.0,
        min_duration_ms: 10_000,
        min_query_count: 662,
        loaded_samples: NonZeroU32::new(100).unwrap(),
        equal_issue: true,
        issue_unique: false,
        seeds: Seeds {
            qsl: seed,
            sample_index: seed + 1,
            schedule: seed + 2,
        },
    }
}

/// A Server run with this seed, and its log.
pub(super) fn server(seed: u64) -> (Logged, Vec<Row>) {
    let rows = rows(seed);
    (log_of(seed, &rows, None), rows)
}

/// Its log, one value changed.
pub(super) fn server_log(seed: u64, change: Option<(&'static str, Value)>) -> Logged {
    log_of(seed, &rows(seed), change)
}

fn rows(seed: u64) -> Vec<Row> {
    let mut random = Mt64::new(seed);
    let mut lengths = Mt64::new(seed + 100);
    let mut below = move |bound: u64| (random.next_u64() % bound) as i64;
    let mut slots = Slots::new(0, move |row: &Row| Service {
        ttft_ns: 20_000_000 + i64::from(row.prompt_tokens) * 20_000 + below(20_000_000),
        tpot_ns: 25_000_000 + below(10_000_000),
    });
    let length = |_: &ossmark_predict::Query| Lengths {
        prompt: 100 + (lengths.next_u64() % 8000) as u32,
        output: 900 + (lengths.next_u64() % 800) as u32,
    };
    simulate(&mut slots, &schedule(&plan(seed)), length)
}

/// As LoadGen prints numbers.
fn digits(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap()
}

fn log_of(seed: u64, rows: &[Row], change: Option<(&'static str, Value)>) -> Logged {
    let plan = plan(seed);
    let once = Plan {
        min_duration_ms: 0,
        min_query_count: 100,
        equal_issue: false,
        ..plan.clone()
    };
    let n = rows.len() as f64;
    let mean = |of: fn(&Row) -> Option<i64>| {
        rows.iter().filter_map(of).map(|ns| ns as f64).sum::<f64>() / n
    };
    let mut tpot: Vec<i64> = rows.iter().filter_map(Row::tpot_ns).collect();
    tpot.sort_unstable();
    let last_due = rows.last().unwrap().scheduled_ns.unwrap() as f64 / 1e9;
    let last = rows.last().unwrap().completed_ns.unwrap() as f64 / 1e9;
    let tokens: f64 = rows.iter().map(|row| f64::from(row.output_tokens)).sum();
    let least = rows.iter().filter_map(Row::ttft_ns).min();
    let settings = EffectiveSettings {
        min_duration_ms: plan.min_duration_ms,
        min_query_count: plan.min_query_count,
        qsl_rng_seed: plan.seeds.qsl,
        sample_index_rng_seed: plan.seeds.sample_index,
        schedule_rng_seed: plan.seeds.schedule,
        target_qps: plan.target_qps,
        ..settings("Server", 1)
    };
    let mut lines = effective(&settings);
    for (key, value) in [
        ("loaded_qsl_set", json!(offline(&once))),
        ("generated_query_count", json!(rows.len())),
        ("generated_samples_per_query", json!(1)),
        (
            "generated_query_duration",
            json!((last_due * 1e9) as u64 + 1_000_000),
        ),
        (
            "result_scheduled_samples_per_sec",
            json!(digits((n - 1.0) / last_due)),
        ),
        (
            "result_completed_samples_per_sec",
            json!(digits((n - 1.0) / last)),
        ),
        (
            "result_completed_tokens_per_second",
            json!(digits(tokens / last)),
        ),
        ("result_first_token_min_latency_ns", json!(least)),
        (
            "result_first_token_mean_latency_ns",
            json!(mean(Row::ttft_ns) as u64),
        ),
        (
            "result_time_to_output_token_mean",
            json!(mean(Row::tpot_ns) as u64),
        ),
        (
            "result_mean_latency_ns",
            json!(mean(Row::latency_ns) as u64),
        ),
        (
            "result_time_per_output_token_50.00_percentile_ns",
            json!(percentile(&tpot, 0.5)),
        ),
        (
            "result_time_per_output_token_99.00_percentile_ns",
            json!(percentile(&tpot, 0.99)),
        ),
    ] {
        lines.push((key.to_owned(), value));
    }
    changed(lines, change)
}

/// The log of an Offline run of the benchmark's length, one value changed.
pub(super) fn offline_log(change: Option<(&'static str, Value)>) -> Logged {
    let mut lines = effective(&settings("Offline", 6396));
    for (key, value) in [
        ("generated_query_count", json!(1)),
        ("generated_samples_per_query", json!(6396)),
        ("result_samples_per_second", json!(digits(6396.0 / 700.0))),
        (
            "result_tokens_per_second",
            json!(digits(6396.0 / 700.0 * 1331.0)),
        ),
        ("result_max_latency_ns", json!(700_000_000_000_u64)),
    ] {
        lines.push((key.to_owned(), value));
    }
    changed(lines, change)
}

fn changed(mut lines: Vec<(String, Value)>, change: Option<(&'static str, Value)>) -> Logged {
    // The last value of a key counts, and the first of some.
    if let Some((key, value)) = change {
        lines.retain(|(name, _)| name != key);
        lines.push((key.to_owned(), value));
    }
    logged(&lines)
}

fn settings(scenario: &str, samples_per_query: u64) -> EffectiveSettings {
    EffectiveSettings {
        scenario: scenario.into(),
        test_mode: "PerformanceOnly".into(),
        samples_per_query,
        target_qps: 10.0,
        target_latency_ns: 0,
        target_latency_percentile: 0.99,
        max_async_queries: 0,
        target_duration_ms: 0,
        min_duration_ms: 600_000,
        max_duration_ms: 0,
        min_query_count: 1,
        max_query_count: 0,
        min_sample_count: 100,
        qsl_rng_seed: 1,
        sample_index_rng_seed: 2,
        schedule_rng_seed: 3,
        accuracy_log_rng_seed: 0,
        accuracy_log_probability: 0.0,
        accuracy_log_sampling_target: 0,
        print_timestamps: false,
        performance_issue_unique: false,
        performance_issue_same: false,
        performance_issue_same_index: 0,
        performance_sample_count: 100,
        accuracy_sample_count: 100,
        sample_concatenate_permutation: true,
        use_token_latencies: true,
    }
}

fn effective(settings: &EffectiveSettings) -> Vec<(String, Value)> {
    let Value::Object(fields) = serde_json::to_value(settings).unwrap() else {
        unreachable!("a struct with names")
    };
    let line = |(name, value): (String, Value)| match name.as_str() {
        "use_token_latencies" => (format!("requested_{name}"), value),
        _ => (format!("effective_{name}"), value),
    };
    let mut lines: Vec<(String, Value)> = fields.into_iter().map(line).collect();
    lines.push(("qsl_reported_total_count".into(), json!(100)));
    lines
}
