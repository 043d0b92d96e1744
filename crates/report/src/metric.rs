//! What runs are compared by: each metric's value for a run, and what it may as well have been.

use ossmark_record::{Row, percentile};

use crate::bootstrap::{Dice, means, percentiles};
use crate::run::Run;
use crate::steady::steady;
use crate::windows::{duration_s, tokens_between};

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

/// The most seconds of the rate; of a run that takes more than a day they are longer ones.
const SECONDS: usize = 100_000;
/// They are drawn in stretches of this part of them, because what slows one down slows its neighbours down.
const STRETCHES: usize = 30;
/// Where all samples are issued at once, answers that end early in one stretch are missing in the next: the stretches must be
/// long beside an answer.
const AT_ONCE: usize = 10;
/// The most values of a mean: of more, neighbours are drawn together.
const VALUES: usize = 200;

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
                let seconds: Vec<f64> = runs.iter().flat_map(|run| ended(run)).collect();
                let values = runs.iter().map(|run| self.value(run));
                let value = mean(&values.collect::<Option<Vec<f64>>>()?)?;
                let center = mean(&seconds).filter(|center| *center > 0.0)?;
                let stretches = match runs.iter().any(|run| run.is_offline()) {
                    true => AT_ONCE,
                    false => STRETCHES,
                };
                let draws = means(&seconds, seconds.len() / stretches, dice)?;
                Some(
                    draws
                        .into_iter()
                        .map(|draw| draw / center * value)
                        .collect(),
                )
            }
            Of::Percentile(of, p) => {
                let rows = runs.iter().flat_map(|run| &run.rows);
                let values: Vec<i64> = rows.filter_map(of).collect();
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

/// Tokens of the samples that ended in each whole second of it. Tokens spread over a sample's time would make neighbours alike,
/// and their mean seem surer than it is. Samples end one latency after their tokens began to count: that much later is looked.
fn ended(run: &Run) -> Vec<f64> {
    let (from, to) = between(run);
    let late = match run.is_offline() {
        true => 0.0,
        false => {
            let mut latencies: Vec<i64> = run.rows.iter().filter_map(Row::latency_ns).collect();
            latencies.sort_unstable();
            percentile(&latencies, 0.5).unwrap_or_default() as f64 / 1e9
        }
    };
    let width = ((to - from) / SECONDS as f64).max(1.0);
    let mut tokens = vec![0.0; ((to - from) / width) as usize];
    for row in &run.rows {
        let Some(completed) = row.completed_ns else {
            continue;
        };
        let at = (completed as f64 / 1e9 - late - from) / width;
        if at >= 0.0
            && let Some(second) = tokens.get_mut(at as usize)
        {
            *second += f64::from(row.output_tokens);
        }
    }
    tokens
}

fn lengths(runs: &[&Run]) -> Vec<f64> {
    let rows = runs.iter().flat_map(|run| &run.rows);
    let completed = rows.filter(|row| row.completed_ns.is_some());
    completed.map(|row| f64::from(row.output_tokens)).collect()
}
