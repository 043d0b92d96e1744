//! Every member of LoadGen's `TestSettings` by its own name, with its unit and its default, and the same once more as values
//! that win over configuration files. One list makes both, so that none can be read and not written.

use serde::{Deserialize, Serialize};

use crate::ffi::Numbers;
use crate::scenario::{Mode, Scenario};

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:literal,)*) => {
        /// The settings of a test as LoadGen holds them: members of its `TestSettings`, by their own names.
        ///
        /// What LoadGen makes of them is in its log: [`EffectiveSettings`](crate::EffectiveSettings).
        #[derive(Clone, Debug, PartialEq, Serialize)]
        pub struct TestSettings {
            /// How samples arrive. LoadGen's default: SingleStream.
            pub scenario: Scenario,
            /// What is done with the scenario. LoadGen's default: PerformanceOnly.
            pub mode: Mode,
            $(
                $(#[$doc])*
                #[doc = concat!("\n\nLoadGen's default: `", stringify!($default), "`.")]
                pub $name: $type,
            )*
        }

        impl Default for TestSettings {
            /// LoadGen's defaults, before any configuration file.
            fn default() -> TestSettings {
                TestSettings {
                    scenario: Scenario::SingleStream,
                    mode: Mode::PerformanceOnly,
                    $($name: $default,)*
                }
            }
        }

        impl TestSettings {
            /// The names of all members but `scenario` and `mode`, in LoadGen's order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            pub(crate) fn of(scenario: Scenario, mode: Mode, numbers: &Numbers) -> TestSettings {
                TestSettings { scenario, mode, $($name: numbers.$name,)* }
            }
        }

        /// Values that win over user.conf; `None` leaves what the files say. audit.config wins over them.
        ///
        /// Any of them makes a run unofficial unless it repeats what the rules say.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Overrides {
            $(
                $(#[$doc])*
                pub $name: Option<$type>,
            )*
        }

        impl Overrides {
            pub(crate) fn apply(&self, numbers: &mut Numbers) {
                $(
                    if let Some(value) = self.$name {
                        numbers.$name = value;
                    }
                )*
            }
        }
    };
}

settings! {
    /// SingleStream: how long a query is expected to take, in nanoseconds; LoadGen prepares twice the queries that would fill
    /// the minimum duration. user.conf: `target_latency`, in milliseconds.
    single_stream_expected_latency_ns: f64 = 1_000_000.0,
    /// SingleStream: the percentile of latency that is the result, 0-1. user.conf: `target_latency_percentile`, in percent.
    single_stream_target_latency_percentile: f64 = 0.90,
    /// MultiStream: how long a query is expected to take, in nanoseconds; as for SingleStream. user.conf: `target_latency`, in
    /// milliseconds.
    multi_stream_expected_latency_ns: f64 = 8_000_000.0,
    /// MultiStream: the percentile of query latency that is the result, 0-1. user.conf: `target_latency_percentile`, in
    /// percent.
    multi_stream_target_latency_percentile: f64 = 0.99,
    /// MultiStream: samples in a query. user.conf: `samples_per_query`.
    multi_stream_samples_per_query: u64 = 8,
    /// Server: queries per second, on average; where FindPeakPerformance begins. user.conf: `target_qps`.
    server_target_qps: f64 = 1.0,
    /// Server: the limit on the latency of whole samples, in nanoseconds; not looked at where tokens are timed. user.conf:
    /// `target_latency`, in milliseconds.
    server_target_latency_ns: u64 = 100_000_000,
    /// Server: share of samples that must keep the limits, 0-1. user.conf: `target_latency_percentile`, in percent.
    server_target_latency_percentile: f64 = 0.99,
    /// Server: whether queries that are due are issued as one. user.conf: `coalesce_queries`.
    server_coalesce_queries: bool = false,
    /// FindPeakPerformance: decimal places of the target rate to which it is searched. No key in configuration files.
    server_find_peak_qps_decimals_of_precision: i32 = 1,
    /// FindPeakPerformance: by which share of itself the target rate is raised until a trial fails. No key in configuration
    /// files.
    server_find_peak_qps_boundary_step_size: f64 = 1.0,
    /// Server: a performance run is ended with an error when more queries than this are open; 0 is no limit. user.conf:
    /// `max_async_queries`.
    server_max_async_queries: u64 = 0,
    /// Server: threads that issue queries; 0 is the thread that called [`run`](crate::run()). They are started by it. No key in
    /// configuration files.
    server_num_issue_query_threads: u64 = 0,
    /// Offline: samples per second that are expected; LoadGen issues 10 % more than would fill the minimum duration. user.conf:
    /// `target_qps`.
    offline_expected_qps: f64 = 1.0,
    /// Equal issue: whole permutations of the loaded set only. user.conf: `sample_concatenate_permutation`.
    sample_concatenate_permutation: bool = false,
    /// The test lasts at least this long, in milliseconds. user.conf: `min_duration`.
    min_duration_ms: u64 = 10_000,
    /// No query is issued after this, in milliseconds; 0 is no limit. Reaching it is an error. user.conf: `max_duration`.
    max_duration_ms: u64 = 0,
    /// The test has at least so many queries; in Offline samples. user.conf: `min_query_count`.
    min_query_count: u64 = 100,
    /// No query is issued after so many; 0 is no limit. Reaching it is an error. user.conf: `max_query_count`.
    max_query_count: u64 = 0,
    /// Seed of which samples are loaded together. The built-in mlperf.conf has the round's; user.conf cannot change it.
    qsl_rng_seed: u64 = 0,
    /// Seed of the order of samples in queries; as above.
    sample_index_rng_seed: u64 = 0,
    /// Seed of Server's arrival times; as above.
    schedule_rng_seed: u64 = 0,
    /// Seed of the choice of samples whose responses a performance run logs. user.conf and audit.config:
    /// `accuracy_log_rng_seed`.
    accuracy_log_rng_seed: u64 = 0,
    /// Share of responses that a performance run logs, 0-1. The built-in mlperf.conf only: `accuracy_log_probability`, in
    /// percent.
    accuracy_log_probability: f64 = 0.0,
    /// Number of responses that a performance run aims to log; 0 leaves it to the probability. user.conf and audit.config:
    /// `accuracy_log_sampling_target`.
    accuracy_log_sampling_target: u64 = 0,
    /// The retired TEST05: a performance run with the three seeds below. The built-in mlperf.conf only.
    test05: bool = false,
    /// TEST05's seed of which samples are loaded together.
    test05_qsl_rng_seed: u64 = 0,
    /// TEST05's seed of the order of samples.
    test05_sample_index_rng_seed: u64 = 0,
    /// TEST05's seed of the arrival times.
    test05_schedule_rng_seed: u64 = 0,
    /// Whether LoadGen prints the begin and the end of a measurement on stdout. user.conf: `print_timestamps`.
    print_timestamps: bool = false,
    /// Whether a performance run issues each loaded sample once (audits). user.conf: `performance_issue_unique`.
    performance_issue_unique: bool = false,
    /// Whether a performance run issues one sample again and again (audits). user.conf: `performance_issue_same`.
    performance_issue_same: bool = false,
    /// Which one, as its place in the loaded set. user.conf: `performance_issue_same_index`.
    performance_issue_same_index: u64 = 0,
    /// Samples loaded at a time; 0 leaves it to the library. user.conf: `performance_sample_count_override`.
    performance_sample_count_override: u64 = 0,
    /// Samples of an accuracy run; 0 leaves it to the library. user.conf: `accuracy_sample_count_override`.
    accuracy_sample_count_override: u64 = 0,
    /// Whether tokens are counted and timed. user.conf: `use_token_latencies`.
    use_token_latencies: bool = false,
    /// Server: the limit on the time to the first token, in nanoseconds. user.conf: `ttft_latency`, in whole milliseconds, read
    /// only where `use_token_latencies` is 1.
    server_ttft_latency: u64 = 100_000_000,
    /// Server: the limit on the time per output token, in nanoseconds. user.conf: `tpot_latency`, as above.
    server_tpot_latency: u64 = 100_000_000,
    /// Whether token rates are inferred from sample rates. user.conf: `infer_token_latencies`.
    infer_token_latencies: bool = false,
    /// Tokens per sample where they are inferred. LoadGen leaves it uninitialised, which this package does not. user.conf:
    /// `token_latency_scaling_factor`, read only where `infer_token_latencies` is 1.
    token_latency_scaling_factor: u64 = 1,
}

impl Overrides {
    /// Sets what Server and Offline call the target rate: queries (Server) or expected samples (Offline) per second.
    pub fn set_target_qps(&mut self, qps: f64) {
        self.server_target_qps = Some(qps);
        self.offline_expected_qps = Some(qps);
    }

    /// Sets the three seeds that each round announces.
    pub fn set_seeds(&mut self, seeds: Seeds) {
        self.qsl_rng_seed = Some(seeds.qsl);
        self.sample_index_rng_seed = Some(seeds.sample_index);
        self.schedule_rng_seed = Some(seeds.schedule);
    }
}

impl TestSettings {
    /// The rate that LoadGen logs as `effective_target_qps`: queries (Server) or expected samples (Offline) per second; of a
    /// stream, how many queries its expected latency allows in a second.
    pub fn target_qps(&self) -> f64 {
        match self.scenario {
            Scenario::SingleStream => 1e9 / self.single_stream_expected_latency_ns,
            Scenario::MultiStream => 1e9 / self.multi_stream_expected_latency_ns,
            Scenario::Server => self.server_target_qps,
            Scenario::Offline => self.offline_expected_qps,
        }
    }

    /// Samples in a query of a stream or of Server; Offline has all in one.
    pub(crate) fn samples_per_query(&self) -> u64 {
        match self.scenario {
            Scenario::MultiStream => self.multi_stream_samples_per_query,
            Scenario::SingleStream | Scenario::Server | Scenario::Offline => 1,
        }
    }

    /// The three seeds that each round announces.
    pub fn seeds(&self) -> Seeds {
        Seeds {
            qsl: self.qsl_rng_seed,
            sample_index: self.sample_index_rng_seed,
            schedule: self.schedule_rng_seed,
        }
    }
}

/// The three seeds that each round announces; mlperf.conf has those of its round built in and user.conf cannot change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeds {
    /// Which samples are loaded together.
    pub qsl: u64,
    /// The order of samples in queries.
    pub sample_index: u64,
    /// Server's arrival times.
    pub schedule: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi;

    #[test]
    fn the_defaults_are_loadgens() {
        let numbers = ffi::numbers(&ffi::new_settings());
        let scenario = Scenario::ALL
            .into_iter()
            .find(|s| s.code() == numbers.scenario);
        let mode = Mode::of_code(numbers.mode);
        let theirs = TestSettings::of(scenario.unwrap(), mode.unwrap(), &numbers);
        assert_eq!(TestSettings::default(), theirs);
    }

    /// Each override changes its own setting, through C++ and back, and no other.
    #[test]
    fn every_override_arrives() {
        let before = serde_json::to_value(TestSettings::default()).unwrap();
        for name in TestSettings::NAMES {
            let value = match &before[*name] {
                serde_json::Value::Bool(is_set) => serde_json::json!(!is_set),
                serde_json::Value::Number(n) if n.is_f64() => serde_json::json!(0.25),
                _ => serde_json::json!(77),
            };
            let overrides: Overrides =
                serde_json::from_value(serde_json::json!({ *name: value })).unwrap();
            let mut settings = ffi::new_settings();
            let mut numbers = ffi::numbers(&settings);
            overrides.apply(&mut numbers);
            ffi::set_numbers(settings.pin_mut(), &numbers);
            let numbers = ffi::numbers(&settings);
            let after = TestSettings::of(Scenario::SingleStream, Mode::PerformanceOnly, &numbers);
            let mut expected = before.clone();
            expected[*name] = value;
            assert_eq!(serde_json::to_value(after).unwrap(), expected, "{name}");
        }
    }
}
