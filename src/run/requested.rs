//! `requested_settings` of `run_plan.json`: LoadGen's settings under the names that readers of plans know. What belongs to
//! scenarios that ossmark does not run is left out.

use loadgen::{Mode, TestSettings};
use serde_json::{Value, json};

/// Latencies in nanoseconds, durations in milliseconds.
pub(super) fn requested_json(settings: &TestSettings, model: &str) -> Value {
    json!({
        "scenario": settings.scenario,
        "mode": match settings.mode {
            Mode::AccuracyOnly => "Accuracy",
            Mode::PerformanceOnly => "Performance",
            Mode::FindPeakPerformance => "FindPeak",
            Mode::SubmissionRun => "Submission",
        },
        "model": model,
        "target_qps": settings.target_qps(),
        "target_latency_ns": settings.server_target_latency_ns,
        "target_latency_percentile": settings.server_target_latency_percentile,
        "ttft_latency_ns": settings.server_ttft_latency,
        "tpot_latency_ns": settings.server_tpot_latency,
        "use_token_latencies": settings.use_token_latencies,
        "infer_token_latencies": settings.infer_token_latencies,
        "coalesce_queries": settings.server_coalesce_queries,
        "max_async_queries": settings.server_max_async_queries,
        "min_duration_ms": settings.min_duration_ms,
        "max_duration_ms": settings.max_duration_ms,
        "min_query_count": settings.min_query_count,
        "max_query_count": settings.max_query_count,
        "seeds": settings.seeds(),
        "accuracy_log_rng_seed": settings.accuracy_log_rng_seed,
        "accuracy_log_probability": settings.accuracy_log_probability,
        "accuracy_log_sampling_target": settings.accuracy_log_sampling_target,
        "performance_issue_unique": settings.performance_issue_unique,
        "performance_issue_same": settings.performance_issue_same,
        "performance_issue_same_index": settings.performance_issue_same_index,
        "performance_sample_count_override": settings.performance_sample_count_override,
        "accuracy_sample_count_override": settings.accuracy_sample_count_override,
        "sample_concatenate_permutation": settings.sample_concatenate_permutation,
        "test05": settings.test05,
        "print_timestamps": settings.print_timestamps,
    })
}
