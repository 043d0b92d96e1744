//! What a test is asked to do, in LoadGen's words. Reads configuration files; starts nothing. Any thread.
//!
//! Order of precedence, lowest first: LoadGen's defaults, its built-in mlperf.conf, user.conf, [`Overrides`], audit.config.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ffi::{self, Numbers};

/// LoadGen's scenario. MLPerf's Interactive is [`Scenario::Server`] with [`Model::GptOss120bInteractive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scenario {
    /// All samples in one query.
    Offline,
    /// One sample a query, Poisson arrivals at the target rate.
    Server,
}

impl Scenario {
    /// LoadGen's spelling, which is also that of user.conf.
    pub fn as_str(self) -> &'static str {
        match self {
            Scenario::Offline => "Offline",
            Scenario::Server => "Server",
        }
    }

    pub(crate) fn code(self) -> i32 {
        match self {
            Scenario::Server => 2,
            Scenario::Offline => 3,
        }
    }
}

/// What LoadGen does with the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Measures; logs responses only for sampled samples.
    Performance,
    /// Issues every sample once and logs every response.
    Accuracy,
    /// Server only: doubles the target rate until a trial misses its limits, then bisects. The first trial must meet them.
    FindPeak,
}

impl Mode {
    pub(crate) fn code(self) -> i32 {
        match self {
            Mode::Accuracy => 1,
            Mode::Performance => 2,
            Mode::FindPeak => 3,
        }
    }

    pub(crate) fn name_of_code(code: i32) -> &'static str {
        match code {
            0 => "SubmissionRun",
            1 => "AccuracyOnly",
            2 => "PerformanceOnly",
            _ => "FindPeakPerformance",
        }
    }
}

/// The benchmark whose rows of mlperf.conf apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Model {
    /// Offline and Server.
    #[serde(rename = "gpt-oss-120b")]
    GptOss120b,
    /// Interactive: Server with tighter limits.
    #[serde(rename = "gpt-oss-120b-interactive")]
    GptOss120bInteractive,
}

impl Model {
    /// mlperf.conf's and user.conf's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Model::GptOss120b => "gpt-oss-120b",
            Model::GptOss120bInteractive => "gpt-oss-120b-interactive",
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

/// Values that win over user.conf; `None` leaves what the files say. Any of them makes a run unofficial unless it repeats
/// what the rules say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// Queries (Server) or expected samples (Offline) per second.
    pub target_qps: Option<f64>,
    /// Milliseconds.
    pub min_duration_ms: Option<u64>,
    /// Milliseconds; 0 is no limit.
    pub max_duration_ms: Option<u64>,
    /// Queries; in Offline samples.
    pub min_query_count: Option<u64>,
    /// Queries; 0 is no limit.
    pub max_query_count: Option<u64>,
    /// Samples loaded at a time.
    pub performance_sample_count: Option<u64>,
    /// Samples of an accuracy run.
    pub accuracy_sample_count: Option<u64>,
    /// All three at once.
    pub seeds: Option<Seeds>,
}

/// One test.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which scenario.
    pub scenario: Scenario,
    /// Which mode; a configuration file that says otherwise is an error.
    pub mode: Mode,
    /// Which rows of mlperf.conf.
    pub model: Model,
    /// The submitter's configuration; none leaves mlperf.conf alone.
    pub user_conf: Option<PathBuf>,
    /// The audit's configuration. None means none: an `audit.config` lying in the working directory is not read.
    pub audit_config: Option<PathBuf>,
    /// Where the logs go; must exist.
    pub output_dir: PathBuf,
    /// Start of the logs' names; LoadGen's own is `mlperf_log_`.
    pub log_prefix: String,
    /// Also prints the summary on stdout.
    pub copy_summary_to_stdout: bool,
    /// Writes `mlperf_log_trace.json`, LoadGen's own trace, which LoadGen does by default: hundreds of megabytes for a long
    /// Server run.
    pub enable_trace: bool,
    /// Values that win over user.conf.
    pub overrides: Overrides,
}

impl Settings {
    /// A test without configuration files or overrides, logs named as LoadGen names them.
    pub fn new(
        scenario: Scenario,
        mode: Mode,
        model: Model,
        output_dir: impl Into<PathBuf>,
    ) -> Settings {
        Settings {
            scenario,
            mode,
            model,
            user_conf: None,
            audit_config: None,
            output_dir: output_dir.into(),
            log_prefix: "mlperf_log_".into(),
            copy_summary_to_stdout: false,
            enable_trace: false,
            overrides: Overrides::default(),
        }
    }

    pub(crate) fn describe(&self, numbers: &Numbers) -> RequestedSettings {
        let server = self.scenario == Scenario::Server;
        RequestedSettings {
            scenario: self.scenario,
            mode: self.mode,
            model: self.model,
            target_qps: if server {
                numbers.server_target_qps
            } else {
                numbers.offline_expected_qps
            },
            target_latency_ns: numbers.server_target_latency_ns,
            target_latency_percentile: numbers.server_target_latency_percentile,
            ttft_latency_ns: numbers.server_ttft_latency,
            tpot_latency_ns: numbers.server_tpot_latency,
            use_token_latencies: numbers.use_token_latencies,
            infer_token_latencies: numbers.infer_token_latencies,
            coalesce_queries: numbers.server_coalesce_queries,
            max_async_queries: numbers.server_max_async_queries,
            min_duration_ms: numbers.min_duration_ms,
            max_duration_ms: numbers.max_duration_ms,
            min_query_count: numbers.min_query_count,
            max_query_count: numbers.max_query_count,
            seeds: Seeds {
                qsl: numbers.qsl_rng_seed,
                sample_index: numbers.sample_index_rng_seed,
                schedule: numbers.schedule_rng_seed,
            },
            accuracy_log_rng_seed: numbers.accuracy_log_rng_seed,
            accuracy_log_probability: numbers.accuracy_log_probability,
            accuracy_log_sampling_target: numbers.accuracy_log_sampling_target,
            performance_issue_unique: numbers.performance_issue_unique,
            performance_issue_same: numbers.performance_issue_same,
            performance_issue_same_index: numbers.performance_issue_same_index,
            performance_sample_count_override: numbers.performance_sample_count_override,
            accuracy_sample_count_override: numbers.accuracy_sample_count_override,
            sample_concatenate_permutation: numbers.sample_concatenate_permutation,
            test05: numbers.test05,
            print_timestamps: numbers.print_timestamps,
        }
    }

    pub(crate) fn override_numbers(&self, numbers: &mut Numbers) {
        fn set<T: Copy>(to: &mut T, from: Option<T>) {
            if let Some(value) = from {
                *to = value;
            }
        }
        let o = &self.overrides;
        set(&mut numbers.server_target_qps, o.target_qps);
        set(&mut numbers.offline_expected_qps, o.target_qps);
        set(&mut numbers.min_duration_ms, o.min_duration_ms);
        set(&mut numbers.max_duration_ms, o.max_duration_ms);
        set(&mut numbers.min_query_count, o.min_query_count);
        set(&mut numbers.max_query_count, o.max_query_count);
        set(
            &mut numbers.performance_sample_count_override,
            o.performance_sample_count,
        );
        set(
            &mut numbers.accuracy_sample_count_override,
            o.accuracy_sample_count,
        );
        if let Some(seeds) = o.seeds {
            numbers.qsl_rng_seed = seeds.qsl;
            numbers.sample_index_rng_seed = seeds.sample_index;
            numbers.schedule_rng_seed = seeds.schedule;
        }
    }

    pub(crate) fn log_path(&self, name: &str) -> PathBuf {
        self.output_dir.join(format!("{}{name}", self.log_prefix))
    }

    /// A path at which no file can ever be, for "no audit.config".
    pub(crate) fn audit_path(&self) -> &Path {
        self.audit_config
            .as_deref()
            .unwrap_or(Path::new("/dev/null/no-audit.config"))
    }
}

/// The settings of a test as LoadGen holds them before it starts. Latencies in nanoseconds, durations in milliseconds.
/// What LoadGen makes of them is in the log: `EffectiveSettings` of `crates/logs`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RequestedSettings {
    /// Scenario.
    pub scenario: Scenario,
    /// Mode.
    pub mode: Mode,
    /// Rows of mlperf.conf.
    pub model: Model,
    /// Queries (Server) or expected samples (Offline) per second.
    pub target_qps: f64,
    /// Server's limit on the latency of whole samples; mlperf.conf has 0 for this benchmark, which counts tokens.
    pub target_latency_ns: u64,
    /// Share of Server's samples that must keep the limits, 0-1.
    pub target_latency_percentile: f64,
    /// Server's limit on time to first token.
    pub ttft_latency_ns: u64,
    /// Server's limit on time per output token.
    pub tpot_latency_ns: u64,
    /// Whether tokens are counted and timed at all; must be true for this benchmark.
    pub use_token_latencies: bool,
    /// Whether token rates are inferred from sample rates; must be false for this benchmark.
    pub infer_token_latencies: bool,
    /// Whether Server may merge queries that are due.
    pub coalesce_queries: bool,
    /// Server's limit on outstanding queries; 0 is none.
    pub max_async_queries: u64,
    /// The test lasts at least this long.
    pub min_duration_ms: u64,
    /// No query is issued after this; 0 is no limit.
    pub max_duration_ms: u64,
    /// Queries; in Offline samples.
    pub min_query_count: u64,
    /// Queries; 0 is no limit.
    pub max_query_count: u64,
    /// The announced seeds.
    pub seeds: Seeds,
    /// Seed of the choice of samples whose responses a performance run logs.
    pub accuracy_log_rng_seed: u64,
    /// Share of responses that a performance run logs, 0-1.
    pub accuracy_log_probability: f64,
    /// Number of responses that a performance run aims to log; 0 leaves it to the probability.
    pub accuracy_log_sampling_target: u64,
    /// Whether each loaded sample is issued once (audits).
    pub performance_issue_unique: bool,
    /// Whether one sample is issued again and again (audits).
    pub performance_issue_same: bool,
    /// Which one.
    pub performance_issue_same_index: u64,
    /// Samples loaded at a time; 0 leaves it to the library.
    pub performance_sample_count_override: u64,
    /// Samples of an accuracy run; 0 leaves it to the library.
    pub accuracy_sample_count_override: u64,
    /// Equal issue: whole permutations of the loaded set only.
    pub sample_concatenate_permutation: bool,
    /// The retired TEST05 with its own seeds.
    pub test05: bool,
    /// Whether LoadGen prints time stamps on stdout.
    pub print_timestamps: bool,
}

/// Drawing so many takes less than a second.
const MOST_ARRIVALS: f64 = 1e7;
/// Gaps of lower rates may be longer than nanoseconds count.
const LEAST_QPS: f64 = 1e-3;

impl RequestedSettings {
    /// Samples that LoadGen loads at a time from a library of these counts.
    pub fn loaded_samples(&self, library_total: u64, library_performance: u64) -> u64 {
        let count = match self.performance_sample_count_override {
            0 => library_performance,
            count => count,
        };
        count.min(library_total)
    }

    /// How many samples LoadGen will generate, padding included (Server's random arrivals make it approximate, and a
    /// maximum duration or count can end it sooner; in FindPeak mode it is that of the first trial).
    pub fn expected_samples(&self, library_total: u64, library_performance: u64) -> u64 {
        let loaded = self.loaded_samples(library_total, library_performance);
        if self.mode == Mode::Accuracy {
            let asked = self.accuracy_sample_count_override;
            return if asked == 0 {
                library_total
            } else {
                asked.min(library_total)
            };
        }
        let slack = if self.scenario == Scenario::Offline {
            1.1
        } else {
            1.0
        };
        self.generated(loaded, slack * self.timed_samples())
    }

    /// How many samples LoadGen will generate in a performance test of Server, by its seed: never fewer than it does. A maximum
    /// duration or count can end it sooner.
    pub fn scheduled_samples(&self, library_total: u64, library_performance: u64) -> u64 {
        let loaded = self.loaded_samples(library_total, library_performance);
        let mean = self.timed_samples();
        let is_short = mean < MOST_ARRIVALS && self.target_qps > LEAST_QPS && !self.test05;
        let timed = match is_short {
            true => {
                let seed = self.seeds.schedule;
                ffi::arrivals_within(self.target_qps, seed, self.min_duration_ms) as f64
            }
            // Twelve standard deviations of a Poisson count, and some for small ones.
            false => mean + 12.0 * mean.sqrt() + 50.0,
        };
        self.generated(loaded, timed)
    }

    fn timed_samples(&self) -> f64 {
        self.min_duration_ms as f64 / 1e3 * self.target_qps
    }

    fn generated(&self, loaded: u64, timed: f64) -> u64 {
        if self.performance_issue_unique {
            return loaded;
        }
        // Saturates: a float beyond the range becomes u64::MAX.
        let count = (timed as u64).max(self.min_query_count);
        if self.sample_concatenate_permutation && loaded > 0 {
            return count.div_ceil(loaded).saturating_mul(loaded);
        }
        count
    }
}
