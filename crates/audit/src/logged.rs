//! What a LoadGen log says of a run, as numbers.

use std::num::NonZeroU32;
use std::path::Path;

use ossmark_logs::DETAIL;
use ossmark_logs::detail_log::DetailLog;
use ossmark_predict::{Plan, Seeds};

use crate::read;

/// A detail log.
#[derive(Debug)]
pub(crate) struct Logged(DetailLog);

/// A schedule of more queries than any run has is not computed.
const MOST_QUERIES: f64 = 4e6;
const MOST_SAMPLES: u64 = 1 << 20;
/// With more, times between queries are cut off to no nanosecond at all, and a schedule of a millisecond has no end.
const MOST_QPS: f64 = 1e7;

impl Logged {
    /// That of a directory, where there is a readable one.
    pub(crate) fn of(dir: &Path) -> Option<Self> {
        read::log(&dir.join(DETAIL)).map(Self)
    }

    /// The last value of a key, where that is a finite number.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        self.0.f64(key).filter(|number| number.is_finite())
    }

    /// The same, above zero.
    pub(crate) fn positive(&self, key: &str) -> Option<f64> {
        self.number(key).filter(|number| *number > 0.0)
    }

    pub(crate) fn word(&self, key: &str) -> Option<&str> {
        self.0.str(key)
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.word("effective_scenario") == Some("Offline")
    }

    pub(crate) fn is_performance(&self) -> bool {
        self.word("effective_test_mode") == Some("PerformanceOnly")
    }

    /// Whether it is ossmark's and says itself that a script answered.
    pub(crate) fn is_scripted(&self) -> bool {
        let ours = |name: &str| name.starts_with("ossmark ") && name.contains("(echo");
        self.word("sut_name").is_some_and(ours)
    }

    /// Samples that were issued.
    pub(crate) fn samples(&self) -> Option<f64> {
        let per_query = self.positive("generated_samples_per_query")?;
        Some(self.positive("generated_query_count")? * per_query)
    }

    /// Tokens and samples a second.
    pub(crate) fn rates(&self) -> Option<(f64, f64)> {
        let keys = match self.is_offline() {
            true => ["result_tokens_per_second", "result_samples_per_second"],
            false => [
                "result_completed_tokens_per_second",
                "result_completed_samples_per_sec",
            ],
        };
        Some((self.positive(keys[0])?, self.positive(keys[1])?))
    }

    /// Output tokens of an answer, the mean.
    pub(crate) fn answer_tokens(&self) -> Option<f64> {
        let (tokens, samples) = self.rates()?;
        // But in Offline, LoadGen's rate of samples leaves one out: n - 1 in the time of n.
        let counted = match self.samples().filter(|n| !self.is_offline() && *n > 1.0) {
            Some(n) => (n - 1.0) / n,
            None => 1.0,
        };
        Some(tokens / samples * counted)
    }

    /// The set that was loaded first, in its order.
    pub(crate) fn loaded_set(&self) -> Option<Vec<u64>> {
        let set = self.0.values("loaded_qsl_set").next()?.as_array()?;
        set.iter().map(serde_json::Value::as_u64).collect()
    }

    /// What the settings make LoadGen issue; else why that cannot be said.
    pub(crate) fn plan(&self) -> Result<Plan, String> {
        let effective = self.0.effective()?;
        let set = |key: &str| self.0.bool(key) == Some(true);
        for (is_other, what) in [
            (!self.is_performance(), "it is no performance run"),
            (
                effective.performance_issue_same,
                "performance_issue_same is set",
            ),
            (
                set("requested_server_coalesce_queries"),
                "coalesce_queries is set",
            ),
            (set("requested_test05"), "test05 is set"),
            (effective.max_duration_ms > 0, "max_duration is set"),
            (effective.max_query_count > 0, "max_query_count is set"),
        ] {
            if is_other {
                return Err(what.into());
            }
        }
        let total = self.0.u64("qsl_reported_total_count").unwrap_or(u64::MAX);
        let loaded = effective.performance_sample_count.min(total);
        let is_offline = self.is_offline();
        let qps = effective.target_qps;
        let seconds = match is_offline {
            // LoadGen has made them a number of samples.
            true => 0.0,
            false => effective.min_duration_ms as f64 / 1e3,
        };
        let at_least = match is_offline {
            true => effective.samples_per_query,
            false => effective.min_query_count,
        };
        let queries = (qps * seconds).max(at_least as f64);
        let sane =
            qps > 0.0 && qps <= MOST_QPS && queries <= MOST_QUERIES && loaded <= MOST_SAMPLES;
        let loaded = u32::try_from(loaded).ok().and_then(NonZeroU32::new);
        let Some(loaded_samples) = loaded.filter(|_| sane) else {
            return Err("its counts are those of no run".into());
        };
        Ok(Plan {
            target_qps: qps,
            min_duration_ms: if is_offline {
                0
            } else {
                effective.min_duration_ms
            },
            min_query_count: at_least,
            loaded_samples,
            equal_issue: effective.sample_concatenate_permutation,
            issue_unique: effective.performance_issue_unique,
            seeds: Seeds {
                qsl: effective.qsl_rng_seed,
                sample_index: effective.sample_index_rng_seed,
                schedule: effective.schedule_rng_seed,
            },
        })
    }
}

#[cfg(test)]
pub(crate) fn logged(lines: &[(String, serde_json::Value)]) -> Logged {
    let line = |(key, value): &(String, serde_json::Value)| {
        let entry = serde_json::json!({
            "key": key, "value": value, "time_ms": 0.0,
            "metadata": { "is_error": false, "is_warning": false },
        });
        format!(":::MLLOG {entry}\n")
    };
    let text: String = lines.iter().map(line).collect();
    Logged(DetailLog::parse(text.as_bytes(), Path::new("log")).expect("lines as LoadGen has them"))
}
