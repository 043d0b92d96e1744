//! How sure a prediction is: the simulation again and again, each time with service times and lengths of answers drawn anew
//! from those that were seen (the bootstrap).

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::random::Mt19937;

/// What is expected of a run. Intervals hold the middle 95% of the repeats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Of how many repeats.
    pub repeats: u32,
    /// The share of them that is VALID.
    pub probability: f64,
    /// Where that share lies were there many more repeats, with 95% confidence (Wilson).
    pub probability_interval: [f64; 2],
    /// The percentile of the time to first token, in nanoseconds.
    pub ttft_ns: [i64; 2],
    /// The percentile of the time per output token, in nanoseconds.
    pub tpot_ns: [i64; 2],
    /// When the last answer is whole, in nanoseconds from the start of the test.
    pub ended_ns: [i64; 2],
}

/// Draws for one repeat.
pub struct Draw(Mt19937);

impl Draw {
    /// One of `items`, each as likely as the others. `items` are not empty.
    pub fn one<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.0.below(items.len() as u32) as usize]
    }

    /// As many of `items` as there are, each drawn from all of them.
    pub fn resample<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        (0..items.len()).map(|_| self.one(items).clone()).collect()
    }
}

/// Repeats `run`, with draws of its own each time. The same seed gives the same forecast.
pub fn forecast(
    repeats: NonZeroU32,
    seed: u64,
    mut run: impl FnMut(&mut Draw) -> Outcome,
) -> Forecast {
    let mut draw = Draw(Mt19937::new(seed));
    let outcomes: Vec<Outcome> = (0..repeats.get()).map(|_| run(&mut draw)).collect();
    let middle = |of: fn(&Outcome) -> i64| {
        let mut all: Vec<i64> = outcomes.iter().map(of).collect();
        all.sort_unstable();
        // Outwards where 2.5% is no whole number of repeats.
        let cut = all.len() / 40;
        [all[cut], all[all.len() - 1 - cut]]
    };
    let valid = outcomes.iter().filter(|outcome| outcome.is_valid()).count();
    let (n, p) = (
        f64::from(repeats.get()),
        valid as f64 / f64::from(repeats.get()),
    );
    Forecast {
        repeats: repeats.get(),
        probability: p,
        probability_interval: wilson(p, n),
        ttft_ns: middle(|outcome| outcome.percentile_ns[0]),
        tpot_ns: middle(|outcome| outcome.percentile_ns[1]),
        ended_ns: middle(|outcome| outcome.ended_ns),
    }
}

/// Wilson's interval of a share `p` of `n`, at 95%.
fn wilson(p: f64, n: f64) -> [f64; 2] {
    const Z: f64 = 1.959_964;
    let z2 = Z * Z / n;
    let centre = (p + z2 / 2.0) / (1.0 + z2);
    let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n)).sqrt() / (1.0 + z2);
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out by others: 0 of 10 is below 27.75%, 5 of 10 from 23.66% to 76.34%.
    #[test]
    fn wilsons_known_intervals() {
        let rounded = |[low, high]: [f64; 2]| [low, high].map(|x| (x * 1e4).round() / 1e4);
        assert_eq!(rounded(wilson(0.0, 10.0)), [0.0, 0.2775]);
        assert_eq!(rounded(wilson(0.5, 10.0)), [0.2366, 0.7634]);
        assert_eq!(rounded(wilson(1.0, 10.0)), [0.7225, 1.0]);
    }

    #[test]
    fn intervals_hold_the_middle_and_a_seed_repeats_them() {
        let values: Vec<i64> = (0..1000).collect();
        let run = |draw: &mut Draw| Outcome {
            samples: 1000,
            unanswered: 0,
            over: [0, u64::from(*draw.one(&values) >= 300) * 100],
            allowed_over: Some(5),
            percentile_ns: [*draw.one(&values), draw.resample(&values).len() as i64],
            deciding_ns: [0, 0],
            ended_ns: 7,
            output_tokens: 0,
        };
        let made = |seed| forecast(NonZeroU32::new(2000).unwrap(), seed, run);
        let first = made(1);
        assert_eq!(first, made(1));
        assert_ne!(first, made(2));
        assert_eq!((first.tpot_ns, first.ended_ns), ([1000, 1000], [7, 7]));
        assert!(
            (first.ttft_ns[0] - 25).abs() < 15 && (first.ttft_ns[1] - 975).abs() < 15,
            "{first:?}"
        );
        let [low, high] = first.probability_interval;
        assert!(
            low < 0.3 && 0.3 < high && (first.probability - 0.3).abs() < 0.03,
            "{first:?}"
        );
    }
}
