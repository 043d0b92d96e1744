//! What runs are compared by: each metric's value for a run, and what it may as well have been.

use ossmark_record::{Row, percentile};

use crate::bootstrap::{Dice, means, percentiles};
use crate::run::Run;
use crate::steady::steady;
use crate::windows::{Windows, duration_s, tokens_between};

/// Something that runs are compared by.
#[derive(Clone, Copy)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    of: Of,
}

#[derive(Clone, Copy)]
enum Of {
    /// Tokens per second of the steady part; of the whole run where there is none.
    Rate,
    /// A percentile of what rows have, in milliseconds.
    Percentile(fn(&Row) -> Option<i64>, f64),
    /// Mean tokens of an answer.
    Length,
}

/// All of them.
pub(crate) const METRICS: [Metric; 8] = [
    Metric::new("tokens_per_s", Of::Rate),
    Metric::new("ttft_p50_ms", Of::Percentile(Row::ttft_ns, 0.5)),
    Metric::new("ttft_p99_ms", Of::Percentile(Row::ttft_ns, 0.99)),
    Metric::new("tpot_p50_ms", Of::Percentile(Row::tpot_ns, 0.5)),
    Metric::new("tpot_p99_ms", Of::Percentile(Row::tpot_ns, 0.99)),
    Metric::new("latency_p50_ms", Of::Percentile(Row::latency_ns, 0.5)),
    Metric::new("latency_p99_ms", Of::Percentile(Row::latency_ns, 0.99)),
    Metric::new("output_tokens_mean", Of::Length),
];

/// Windows of the rate: a second each, longer ones of a run that takes more than a day.
const SECONDS: usize = 100_000;
/// The most values of a mean: of more, neighbours are drawn together.
const VALUES: usize = 20_000;

impl Metric {
    const fn new(name: &'static str, of: Of) -> Self {
        Self { name, of }
    }

    /// The value of a run: from its rows, of the rate else from LoadGen's log.
    pub(crate) fn value(self, run: &Run) -> Option<f64> {
        match self.of {
            Of::Rate if run.rows.is_empty() => run.tokens_per_s(),
            Of::Rate => {
                let (from, to) = between(run);
                Some(tokens_between(&run.rows, from, to) / (to - from))
                    .filter(|rate| rate.is_finite())
            }
            Of::Percentile(of, p) => {
                let mut values: Vec<i64> = run.rows.iter().filter_map(of).collect();
                values.sort_unstable();
                Some(percentile(&values, p)? as f64 / 1e6)
            }
            Of::Length => mean(&lengths(&[run])),
        }
    }

    /// Draws of what the value of these runs together may as well have been, in the same unit; `None` without rows.
    pub(crate) fn draws(self, runs: &[&Run], dice: &mut Dice) -> Option<Vec<f64>> {
        match self.of {
            Of::Rate => {
                let rates: Vec<f64> = runs
                    .iter()
                    .filter(|run| !run.rows.is_empty())
                    .flat_map(|run| rates(run))
                    .collect();
                means(&rates, block(runs).min(rates.len() / 5), dice)
            }
            Of::Percentile(of, p) => {
                let mut values: Vec<i64> = runs
                    .iter()
                    .flat_map(|run| run.rows.iter().filter_map(of))
                    .collect();
                values.sort_unstable();
                let draws = percentiles(&values, p, dice)?;
                Some(draws.into_iter().map(|ns| ns / 1e6).collect())
            }
            Of::Length => {
                let lengths = lengths(runs);
                means(&lengths, lengths.len().div_ceil(VALUES), dice)
            }
        }
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The steady part, or the whole run.
fn between(run: &Run) -> (f64, f64) {
    let part = steady(&run.rows, run.is_offline());
    part.map_or_else(
        |_| (0.0, duration_s(&run.rows)),
        |part| (part.from_s, part.to_s),
    )
}

/// Tokens of each whole second of it.
fn rates(run: &Run) -> Vec<f64> {
    let cut = Windows::of(&run.rows, SECONDS);
    let (from, to) = between(run);
    let inside = |from_s: f64| from <= from_s && from_s + cut.width_s <= to;
    let rates = cut
        .windows
        .iter()
        .filter(|w| inside(w.from_s))
        .map(|w| w.tokens_per_s);
    rates.collect()
}

/// Seconds that are alike: as long as a sample takes, because its tokens are in all of them.
fn block(runs: &[&Run]) -> usize {
    let rows = || runs.iter().flat_map(|run| &run.rows);
    let mut latencies: Vec<i64> = rows().filter_map(Row::latency_ns).collect();
    latencies.sort_unstable();
    let typical_s = percentile(&latencies, 0.5).unwrap_or_default() as f64 / 1e9;
    let longest = runs
        .iter()
        .map(|run| duration_s(&run.rows))
        .fold(0.0, f64::max);
    (typical_s / (longest / SECONDS as f64).max(1.0)).ceil() as usize
}

fn lengths(runs: &[&Run]) -> Vec<f64> {
    let rows = runs.iter().flat_map(|run| &run.rows);
    let completed = rows.filter(|row| row.completed_ns.is_some());
    completed.map(|row| f64::from(row.output_tokens)).collect()
}
