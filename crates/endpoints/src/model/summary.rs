//! `result_summary.json`: what is derived of it, and what it says itself.

use std::collections::HashMap;

use crate::lax::{Fields, Problem, Problems, dict, float, int};
use crate::python::{Raised, truncated};
use crate::value::Value;

#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) issued: i128,
    pub(crate) completed: i128,
    pub(crate) failed: i128,
    pub(crate) duration_ns: f64,
    pub(crate) tpot: Statistics,
    pub(crate) ttft: Statistics,
    pub(crate) latency: Statistics,
    pub(crate) output: Statistics,
    tokens_per_turn: Option<f64>,
    turn_seconds: Option<f64>,
    /// What it says itself of what can be derived, as it is written.
    pub(crate) stored: Stored,
    /// `output_sequence_lengths_full_run.output_sequence_lengths.avg`, of agentic benchmarks.
    pub(crate) full_run_mean: Option<f64>,
    /// The client says that the run came to its end.
    pub(crate) is_whole: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) system_tps: Option<Value>,
    pub(crate) tps_per_user: Option<Value>,
    pub(crate) interactivity: Option<Value>,
    pub(crate) tps_per_kw: Option<f64>,
}

#[derive(Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) total: f64,
    /// The lowest value, where it says one.
    pub(crate) least: Option<f64>,
    /// By the number that the key is.
    percentiles: Vec<(f64, f64)>,
}

impl Statistics {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        let Some(mut fields) = Fields::of(value, problems) else {
            return Self::default();
        };
        let total = fields.or("total", 0.0, float);
        let least = fields.get("min").and_then(Value::plain_number);
        let percentiles = fields.or("percentiles", Vec::new(), |value, problems| {
            let before = problems.list.len();
            let all = dict(float)(value, problems);
            if problems.list.len() == before {
                keys(all, problems)
            } else {
                Vec::new()
            }
        });
        Self {
            total,
            least,
            percentiles,
        }
    }

    pub(crate) fn percentiles(&self) -> impl Iterator<Item = (f64, f64)> {
        self.percentiles.iter().copied()
    }

    pub(crate) fn percentile(&self, key: f64) -> Option<f64> {
        let found = self.percentiles.iter().find(|(known, _)| *known == key);
        found.map(|(_, value)| *value)
    }
}

/// `"90"` and `"90.0"` are one key.
fn keys(all: Vec<(String, f64)>, problems: &mut Problems) -> Vec<(f64, f64)> {
    let mut known: HashMap<u64, f64> = HashMap::new();
    let mut list = Vec::new();
    for (key, value) in all {
        let number = ossmark_python::parse_float(&key);
        let Some(number) = number.filter(|n| (0.0..=100.0).contains(n)) else {
            problems.add(format!(
                "found the key {key:?}, expected a percentile between 0 and 100"
            ));
            return Vec::new();
        };
        // 0 and -0 are one.
        match known.insert((number + 0.0).to_bits(), value) {
            // Of two NaN neither is the other.
            Some(before) if before != value || value.is_nan() => {
                problems.add(format!(
                    "found two values for percentile {number}, expected one"
                ));
                return Vec::new();
            }
            Some(_) => {}
            None => list.push((number, value)),
        }
    }
    list
}

const NS_PER_S: f64 = 1e9;
const NS_PER_MS: f64 = 1e6;

impl Summary {
    pub(crate) fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let summary = Self::fields(value, &mut problems);
        if problems.list.is_empty() {
            Ok(summary)
        } else {
            Err(problems.list)
        }
    }

    fn fields(value: &Value, problems: &mut Problems) -> Self {
        let Some(mut fields) = Fields::of(value, problems) else {
            return Self::default();
        };
        let stored = |fields: &Fields<'_, '_>, name| {
            fields.get(name).filter(|value| !value.is_none()).cloned()
        };
        let full_run = fields
            .get("output_sequence_lengths_full_run")
            .and_then(|value| {
                value
                    .map()?
                    .get("output_sequence_lengths")?
                    .map()?
                    .get("avg")
            });
        let is_incomplete = matches!(fields.get("complete"), Some(Value::Bool(false)));
        let state = fields.get("state").and_then(Value::text);
        Self {
            is_whole: !is_incomplete && state.is_none_or(|state| state == "complete"),
            full_run_mean: full_run.and_then(|value| match value {
                Value::Bool(b) => Some(f64::from(u8::from(*b))),
                other => other.plain_number(),
            }),
            stored: Stored {
                system_tps: stored(&fields, "system_tps"),
                tps_per_user: stored(&fields, "tps_per_user"),
                interactivity: stored(&fields, "e2e_avg_interactivity"),
                tps_per_kw: fields
                    .get("system_tps_per_kw")
                    .and_then(Value::plain_number),
            },
            issued: fields.or("n_samples_issued", 0, int),
            completed: fields.required("n_samples_completed", int),
            failed: fields.or("n_samples_failed", 0, int),
            duration_ns: fields.required("duration_ns", float),
            ttft: fields.or("ttft", Statistics::default(), Statistics::read),
            tpot: fields.or("tpot", Statistics::default(), Statistics::read),
            output: fields.or(
                "output_sequence_lengths",
                Statistics::default(),
                Statistics::read,
            ),
            latency: fields.or("latency", Statistics::default(), Statistics::read),
            tokens_per_turn: fields.optional("output_tokens_per_turn_total", float),
            turn_seconds: fields.optional("e2e_turn_time_seconds_total", float),
        }
    }

    /// Of all answers.
    ///
    /// # Errors
    /// Where Python raises: the total is no number or infinite.
    pub(crate) fn output_tokens(&self) -> Result<i128, Raised> {
        truncated(self.output.total)
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.duration_ns / NS_PER_S
    }

    /// Output tokens a second; 0 where there is no duration.
    ///
    /// # Errors
    /// As [`Self::output_tokens`].
    pub(crate) fn system_tps(&self) -> Result<f64, Raised> {
        let seconds = self.seconds();
        if seconds > 0.0 {
            Ok(self.output_tokens()? as f64 / seconds)
        } else {
            Ok(0.0)
        }
    }

    pub(crate) fn tpot_p90_ms(&self) -> Option<f64> {
        self.tpot.percentile(90.0).map(|ns| ns / NS_PER_MS)
    }

    /// Output tokens a second of requests' time.
    pub(crate) fn interactivity(&self) -> Option<f64> {
        let (tokens, seconds) = match (self.tokens_per_turn, self.turn_seconds) {
            (None, None) if self.failed == 0 => {
                (Some(self.output.total), Some(self.latency.total / NS_PER_S))
            }
            stated => stated,
        };
        let (tokens, seconds) = tokens.zip(seconds)?;
        // NaN seconds are not "at most 0" for Python.
        (seconds > 0.0 || seconds.is_nan()).then(|| tokens / seconds)
    }
}
