//! What LoadGen made of the settings: `effective_*` of its detail log.

use serde::Serialize;

use crate::detail::Detail;
use crate::error::Error;
use crate::scenario::{Mode, Scenario};

/// The settings that a test ran with, by LoadGen's names without `effective_`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EffectiveSettings {
    /// Scenario.
    pub scenario: Scenario,
    /// Mode.
    pub test_mode: Mode,
    /// Samples in a query. In Offline the number before padding to whole permutations.
    pub samples_per_query: u64,
    /// Queries per second; in Offline samples.
    pub target_qps: f64,
    /// Server's limit on the latency of whole samples, in nanoseconds.
    pub target_latency_ns: i64,
    /// The percentile that counts, 0-1.
    pub target_latency_percentile: f64,
    /// Queries that may be open; 0 is no limit.
    pub max_async_queries: u64,
    /// How long LoadGen means to issue, in milliseconds; 0 in Offline.
    pub target_duration_ms: u64,
    /// The test lasts at least this long, in milliseconds.
    pub min_duration_ms: u64,
    /// No query is issued after this, in milliseconds; 0 is no limit.
    pub max_duration_ms: u64,
    /// Queries; 1 in Offline.
    pub min_query_count: u64,
    /// Queries; 0 is no limit.
    pub max_query_count: u64,
    /// Samples.
    pub min_sample_count: u64,
    /// Seed of which samples are loaded together.
    pub qsl_rng_seed: u64,
    /// Seed of the order of samples in queries.
    pub sample_index_rng_seed: u64,
    /// Seed of Server's arrival times.
    pub schedule_rng_seed: u64,
    /// Seed of the choice of samples whose responses a performance run logs.
    pub accuracy_log_rng_seed: u64,
    /// Share of responses that a performance run logs, 0-1.
    pub accuracy_log_probability: f64,
    /// Number of responses that a performance run aims to log; 0 leaves it to the probability.
    pub accuracy_log_sampling_target: u64,
    /// Whether LoadGen prints time stamps on stdout.
    pub print_timestamps: bool,
    /// Whether each loaded sample is issued once.
    pub performance_issue_unique: bool,
    /// Whether one sample is issued again and again.
    pub performance_issue_same: bool,
    /// Which one.
    pub performance_issue_same_index: u64,
    /// Samples loaded at a time; may be more than the library has.
    pub performance_sample_count: u64,
    /// Samples of an accuracy run; may be more than the library has.
    pub accuracy_sample_count: u64,
    /// Equal issue: whole permutations of the loaded set only.
    pub sample_concatenate_permutation: bool,
}

impl EffectiveSettings {
    pub(crate) fn of(detail: &Detail) -> Result<EffectiveSettings, Error> {
        let key = |name: &str| format!("effective_{name}");
        let whole = |name: &str| detail.whole(&key(name));
        let number = |name: &str| detail.number(&key(name));
        let flag = |name: &str| detail.flag(&key(name));
        Ok(EffectiveSettings {
            scenario: detail.get(&key("scenario"), "a scenario", |v| {
                Scenario::named(v.as_str()?)
            })?,
            test_mode: detail.get(&key("test_mode"), "a mode", |v| Mode::named(v.as_str()?))?,
            samples_per_query: whole("samples_per_query")?,
            target_qps: number("target_qps")?,
            target_latency_ns: detail.signed(&key("target_latency_ns"))?,
            target_latency_percentile: number("target_latency_percentile")?,
            max_async_queries: whole("max_async_queries")?,
            target_duration_ms: whole("target_duration_ms")?,
            min_duration_ms: whole("min_duration_ms")?,
            max_duration_ms: whole("max_duration_ms")?,
            min_query_count: whole("min_query_count")?,
            max_query_count: whole("max_query_count")?,
            min_sample_count: whole("min_sample_count")?,
            qsl_rng_seed: whole("qsl_rng_seed")?,
            sample_index_rng_seed: whole("sample_index_rng_seed")?,
            schedule_rng_seed: whole("schedule_rng_seed")?,
            accuracy_log_rng_seed: whole("accuracy_log_rng_seed")?,
            accuracy_log_probability: number("accuracy_log_probability")?,
            accuracy_log_sampling_target: whole("accuracy_log_sampling_target")?,
            print_timestamps: flag("print_timestamps")?,
            performance_issue_unique: flag("performance_issue_unique")?,
            performance_issue_same: flag("performance_issue_same")?,
            performance_issue_same_index: whole("performance_issue_same_index")?,
            performance_sample_count: whole("performance_sample_count")?,
            accuracy_sample_count: whole("accuracy_sample_count")?,
            sample_concatenate_permutation: flag("sample_concatenate_permutation")?,
        })
    }
}
