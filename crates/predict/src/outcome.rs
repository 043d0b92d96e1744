//! What LoadGen will say of a Server run: from the rows of a record, real or simulated.

use ossmark_record::early_stopping::allowed_over;
use ossmark_record::{Row, over, percentile};
use serde::{Deserialize, Serialize};

/// What a run is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// On the time to first token, in nanoseconds.
    pub ttft_ns: i64,
    /// On the time per output token, in nanoseconds.
    pub tpot_ns: i64,
    /// The percentile that must be within them: 0.99.
    pub percentile: f64,
    /// The percentile whose latency decides a run of official length: above `percentile`, by what early stopping wants for
    /// certainty ([`Limits::deciding`]).
    pub deciding: f64,
}

impl Limits {
    /// On so many nanoseconds to the first token and per token, at a percentile, for official runs of so many samples.
    pub fn new(ttft_ns: i64, tpot_ns: i64, percentile: f64, official_samples: u64) -> Self {
        let allowed = allowed_over(official_samples, percentile).unwrap_or(0);
        Self {
            ttft_ns,
            tpot_ns,
            percentile,
            // The middle of the place of the greatest latency that is not allowed to be over.
            deciding: decimals(1.0 - (allowed as f64 + 0.5) / official_samples.max(1) as f64),
        }
    }
}

/// Six significant digits: more than is measured, and few enough to be the same number when it is read from a text again.
pub(crate) fn decimals(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

/// A Server run in the figures that decide it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Samples that were issued.
    pub samples: u64,
    /// Those that have no whole answer: LoadGen would wait for them for ever.
    pub unanswered: u64,
    /// Samples over each limit, of the first token and per token.
    pub over: [u64; 2],
    /// How many samples early stopping allows over a limit; `None`: there are too few samples for any.
    pub allowed_over: Option<u64>,
    /// The percentile of the time to first token and of the time per output token, in nanoseconds.
    pub percentile_ns: [i64; 2],
    /// The same of [`Limits::deciding`].
    pub deciding_ns: [i64; 2],
    /// When the last answer was whole, in nanoseconds from the start of the test.
    pub ended_ns: i64,
    /// Tokens of all answers.
    pub output_tokens: u64,
}

impl Outcome {
    /// Of the rows of a run.
    pub fn of(rows: &[Row], limits: &Limits) -> Self {
        let sorted = |latency: fn(&Row) -> Option<i64>| {
            let mut all: Vec<i64> = rows.iter().filter_map(latency).collect();
            all.sort_unstable();
            all
        };
        let samples = rows.len() as u64;
        let latencies = [sorted(Row::ttft_ns), sorted(Row::tpot_ns)];
        let limit_ns = [limits.ttft_ns, limits.tpot_ns];
        let at = |p| {
            latencies
                .each_ref()
                .map(|all| percentile(all, p).unwrap_or(0))
        };
        let counted = |k: usize| over(latencies[k].iter().copied(), limit_ns[k]);
        Self {
            samples,
            unanswered: samples - latencies[1].len() as u64,
            over: [counted(0), counted(1)],
            allowed_over: allowed_over(samples, limits.percentile),
            percentile_ns: at(limits.percentile),
            deciding_ns: at(limits.deciding),
            ended_ns: rows
                .iter()
                .filter_map(|row| row.completed_ns)
                .max()
                .unwrap_or(0),
            output_tokens: rows.iter().map(|row| u64::from(row.output_tokens)).sum(),
        }
    }

    /// Whether LoadGen calls it VALID: each limit holds under its early stopping. That it is long enough is for its schedule
    /// to see to.
    pub fn is_valid(&self) -> bool {
        let most = self.allowed_over;
        self.unanswered == 0 && most.is_some_and(|most| self.over.iter().all(|over| *over <= most))
    }
}
