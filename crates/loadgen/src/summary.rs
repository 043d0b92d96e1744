//! LoadGen's result as a type: `result_*` of its detail log, which has everything that its summary says for people.

use serde::Serialize;

use crate::detail::Detail;
use crate::error::Error;
use crate::scenario::{Mode, Scenario};

/// What LoadGen says of a test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Scenario.
    pub scenario: Scenario,
    /// Mode.
    pub mode: Mode,
    /// Errors that LoadGen logged. A test may be VALID with errors, and is not to be trusted then.
    pub errors: u64,
    /// Messages of the first errors, 16 at most.
    pub error_messages: Vec<String>,
    /// Warnings that LoadGen logged.
    pub warnings: u64,
    /// The measurement; none after an accuracy run, which LoadGen gives no result.
    pub performance: Option<Performance>,
}

/// What a performance test measured. Of FindPeakPerformance it is the last load that passed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Performance {
    /// "Result is : VALID".
    pub is_valid: bool,
    /// Why not, in LoadGen's words; none where it is valid or LoadGen gives no reason (early stopping).
    pub invalid_reason: Option<String>,
    /// Whether Server's latencies are within their limits; none in the other scenarios.
    pub perf_constraints_met: Option<bool>,
    /// Whether it lasted long enough.
    pub min_duration_met: bool,
    /// Whether there were enough queries and samples.
    pub min_queries_met: bool,
    /// Whether there were enough queries to be sure of the percentile.
    pub early_stopping_met: bool,
    /// Queries issued.
    pub query_count: u64,
    /// The scenario's own figures.
    pub result: ScenarioResult,
    /// Latencies of samples: from when each was due.
    pub latency: Latencies,
    /// Token rates and latencies, where tokens are timed.
    pub tokens: Option<Tokens>,
}

/// The figures of which one is the scenario's result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum ScenarioResult {
    /// Queries one after the other.
    SingleStream {
        /// Early stopping's estimate of the target percentile, which is what is submitted, in nanoseconds; 0 where there were
        /// too few queries.
        early_stopping_latency_ns: i64,
        /// The same of the 99th percentile, from which MultiStream's result may be inferred.
        early_stopping_multi_stream_latency_ns: i64,
        /// Queries per second over the whole test.
        qps_with_loadgen_overhead: f64,
        /// Queries per second by their mean latency.
        qps_without_loadgen_overhead: f64,
    },
    /// Queries of several samples one after the other.
    MultiStream {
        /// Early stopping's estimate of the target percentile of query latency, which is what is submitted, in nanoseconds; 0
        /// where there were too few queries.
        early_stopping_latency_ns: i64,
        /// Latencies of queries.
        query_latency: Latencies,
    },
    /// Poisson arrivals.
    Server {
        /// Samples per second as they were due.
        scheduled_samples_per_second: f64,
        /// Samples per second as they were answered.
        completed_samples_per_second: f64,
        /// Samples over `server_target_latency_ns`; says nothing where tokens are timed.
        overlatency_query_count: u64,
    },
    /// All at once.
    Offline {
        /// Samples per second.
        samples_per_second: f64,
    },
}

/// LoadGen's percentiles of one kind of latency, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Latencies {
    /// The smallest.
    pub min_ns: i64,
    /// The largest.
    pub max_ns: i64,
    /// The mean.
    pub mean_ns: i64,
    /// 50th percentile.
    pub p50_ns: i64,
    /// 90th percentile.
    pub p90_ns: i64,
    /// 95th percentile.
    pub p95_ns: i64,
    /// 97th percentile.
    pub p97_ns: i64,
    /// 99th percentile.
    pub p99_ns: i64,
    /// 99.9th percentile.
    pub p99_9_ns: i64,
}

/// What LoadGen measured of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tokens {
    /// Tokens per second, by their completion.
    pub tokens_per_second: f64,
    /// Times to the first token; none in Offline.
    pub first_token: Option<Latencies>,
    /// Times per output token, the first left out; none in Offline.
    pub time_per_output_token: Option<Latencies>,
}

impl Summary {
    pub(crate) fn of(detail: &Detail) -> Result<Summary, Error> {
        let scenario = detail.get("effective_scenario", "a scenario", |v| {
            Scenario::named(v.as_str()?)
        })?;
        let mode = detail.get("effective_test_mode", "a mode", |v| {
            Mode::named(v.as_str()?)
        })?;
        let performance = match mode.measures() {
            true => Some(Performance::of(detail, scenario)?),
            false => None,
        };
        Ok(Summary {
            scenario,
            mode,
            errors: detail.errors,
            error_messages: detail.messages.clone(),
            warnings: detail.warnings,
            performance,
        })
    }

    /// VALID, and LoadGen logged no error.
    pub fn is_clean(&self) -> bool {
        self.errors == 0 && self.performance.as_ref().is_none_or(|p| p.is_valid)
    }
}

impl Performance {
    fn of(detail: &Detail, scenario: Scenario) -> Result<Performance, Error> {
        let optional = |key: &str| detail.has(key).then(|| detail.text(key)).transpose();
        let constraints = "result_perf_constraints_met";
        // The last line of a result.
        detail.whole("num_errors")?;
        Ok(Performance {
            is_valid: detail.get("result_validity", "VALID or INVALID", |v| {
                match v.as_str()? {
                    "VALID" => Some(true),
                    "INVALID" => Some(false),
                    _ => None,
                }
            })?,
            invalid_reason: optional("result_invalid_reason")?.filter(|reason| !reason.is_empty()),
            perf_constraints_met: detail
                .has(constraints)
                .then(|| detail.flag(constraints))
                .transpose()?,
            min_duration_met: detail.flag("result_min_duration_met")?,
            min_queries_met: detail.flag("result_min_queries_met")?,
            early_stopping_met: detail.flag("early_stopping_met")?,
            query_count: detail.whole("result_query_count")?,
            result: ScenarioResult::of(detail, scenario)?,
            latency: Latencies::of(detail, |name| format!("result_{name}_latency_ns"))?,
            tokens: Tokens::of(detail, scenario)?,
        })
    }
}

impl ScenarioResult {
    fn of(detail: &Detail, scenario: Scenario) -> Result<ScenarioResult, Error> {
        Ok(match scenario {
            Scenario::SingleStream => ScenarioResult::SingleStream {
                early_stopping_latency_ns: detail.signed("early_stopping_latency_ss")?,
                early_stopping_multi_stream_latency_ns: detail
                    .signed("early_stopping_latency_ms")?,
                qps_with_loadgen_overhead: detail.number("result_qps_with_loadgen_overhead")?,
                qps_without_loadgen_overhead: detail
                    .number("result_qps_without_loadgen_overhead")?,
            },
            Scenario::MultiStream => ScenarioResult::MultiStream {
                early_stopping_latency_ns: detail.signed("early_stopping_latency_ms")?,
                query_latency: Latencies::of(detail, |name| match name {
                    "min" | "max" | "mean" => format!("result_{name}_query_latency_ns"),
                    percentile => format!("result_{percentile}_per_query_latency_ns"),
                })?,
            },
            Scenario::Server => ScenarioResult::Server {
                scheduled_samples_per_second: detail.number("result_scheduled_samples_per_sec")?,
                completed_samples_per_second: detail.number("result_completed_samples_per_sec")?,
                overlatency_query_count: detail.whole("result_overlatency_query_count")?,
            },
            Scenario::Offline => ScenarioResult::Offline {
                samples_per_second: detail.number("result_samples_per_second")?,
            },
        })
    }
}

impl Tokens {
    /// LoadGen logs token rates where it times tokens.
    fn of(detail: &Detail, scenario: Scenario) -> Result<Option<Tokens>, Error> {
        let (rate, latencies) = match scenario {
            Scenario::Offline => ("result_tokens_per_second", false),
            Scenario::SingleStream | Scenario::MultiStream | Scenario::Server => {
                ("result_completed_tokens_per_second", true)
            }
        };
        if !detail.has(rate) {
            return Ok(None);
        }
        let first_token = || {
            Latencies::of(detail, |name| {
                format!("result_first_token_{name}_latency_ns")
            })
        };
        let per_token = || {
            Latencies::of(detail, |name| match name {
                "min" | "max" | "mean" => format!("result_time_to_output_token_{name}"),
                percentile => format!("result_time_per_output_token_{percentile}_ns"),
            })
        };
        Ok(Some(Tokens {
            tokens_per_second: detail.number(rate)?,
            first_token: latencies.then(first_token).transpose()?,
            time_per_output_token: latencies.then(per_token).transpose()?,
        }))
    }
}

impl Latencies {
    /// `key` makes LoadGen's key of `min`, `50.00_percentile`, and so on.
    fn of(detail: &Detail, key: impl Fn(&str) -> String) -> Result<Latencies, Error> {
        let ns = |name: &str| detail.signed(&key(name));
        Ok(Latencies {
            min_ns: ns("min")?,
            max_ns: ns("max")?,
            mean_ns: ns("mean")?,
            p50_ns: ns("50.00_percentile")?,
            p90_ns: ns("90.00_percentile")?,
            p95_ns: ns("95.00_percentile")?,
            p97_ns: ns("97.00_percentile")?,
            p99_ns: ns("99.00_percentile")?,
            p99_9_ns: ns("99.90_percentile")?,
        })
    }
}
