//! What a statistic would have been had the run come out a little differently: draws by the bootstrap, the same each time.

use ossmark_record::percentile;
use rand::{Rng, RngCore};
use rand_distr::{Beta, Distribution};
use rand_mt::Mt64;

/// Draws of a statistic.
pub(crate) const DRAWS: usize = 4000;

/// The rules' generator behind the trait that distributions want.
pub(crate) struct Dice(Mt64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mt64::new(seed))
    }
}

impl RngCore for Dice {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

/// A percentile of resamples of `sorted`, LoadGen's way of counting.
///
/// Resamples are not made: the value at a place among `n` that are drawn with replacement is the one at the place that a beta
/// variable says (the order statistic of `n` uniform ones), which costs the same for any number of samples.
pub(crate) fn percentiles(sorted: &[i64], p: f64, dice: &mut Dice) -> Option<Vec<f64>> {
    let n = sorted.len();
    percentile(sorted, p)?;
    let place = ((n as f64 * p) as usize).min(n - 1);
    let beta = Beta::new((place + 1) as f64, (n - place) as f64).ok()?;
    let draw = |_| {
        let at: f64 = beta.sample(dice);
        sorted[((at * n as f64) as usize).min(n - 1)] as f64
    };
    Some((0..DRAWS).map(draw).collect())
}

/// The mean of resamples of `values`, which are drawn in runs of `block` that follow each other (the last is followed by the
/// first), because neighbours are like each other.
pub(crate) fn means(values: &[f64], block: usize, dice: &mut Dice) -> Option<Vec<f64>> {
    let n = values.len();
    let block = block.clamp(1, n.max(1));
    // Sums from the first on, around once and a block more.
    let mut sums = vec![0.0];
    for value in values.iter().chain(&values[..block.min(n)]) {
        sums.push(sums.last()? + value);
    }
    let blocks = n.div_ceil(block);
    let draw = |_| {
        let mut sum = 0.0;
        for _ in 0..blocks {
            let from = dice.random_range(0..n);
            sum += sums[from + block] - sums[from];
        }
        sum / (blocks * block) as f64
    };
    (n > 0).then(|| (0..DRAWS).map(draw).collect())
}

/// Where the middle part of draws lies: 0.95 leaves out a fortieth at each end.
pub(crate) fn middle(draws: &mut [f64], part: f64) -> Option<[f64; 2]> {
    draws.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        draws.get(((draws.len() as f64 * share) as usize).min(draws.len().checked_sub(1)?))
    };
    Some([*at((1.0 - part) / 2.0)?, *at((1.0 + part) / 2.0)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The short cut gives what drawing every sample gives.
    #[test]
    fn percentiles_are_those_of_resamples() {
        let mut dice = Dice::new(1);
        let mut sorted: Vec<i64> = (0..500).map(|_| dice.random_range(0..1_000_000)).collect();
        sorted.sort_unstable();
        for p in [0.5, 0.99] {
            let mut short = percentiles(&sorted, p, &mut dice).unwrap();
            let mut long: Vec<f64> = (0..DRAWS)
                .map(|_| {
                    let mut drawn: Vec<i64> = (0..500)
                        .map(|_| sorted[dice.random_range(0..500)])
                        .collect();
                    drawn.sort_unstable();
                    percentile(&drawn, p).unwrap() as f64
                })
                .collect();
            let ([a, b], [c, d]) = (
                middle(&mut short, 0.9).unwrap(),
                middle(&mut long, 0.9).unwrap(),
            );
            let width = d - c;
            assert!(
                (a - c).abs() < 0.15 * width && (b - d).abs() < 0.15 * width,
                "{p}: {a} {b}, {c} {d}"
            );
        }
    }

    #[test]
    fn means_have_the_spread_of_a_mean() {
        let mut dice = Dice::new(2);
        let values: Vec<f64> = (0..400).map(|_| dice.random::<f64>()).collect();
        let [low, high] = middle(&mut means(&values, 1, &mut dice).unwrap(), 0.95).unwrap();
        // 1.96 * 2 * sqrt(1/12 / 400)
        assert!((high - low - 0.0566).abs() < 0.008, "{low} {high}");
        // Values in runs of ten say a tenth as much.
        let runs: Vec<f64> = values.iter().flat_map(|value| [*value; 10]).collect();
        let [low, high] = middle(&mut means(&runs, 100, &mut dice).unwrap(), 0.95).unwrap();
        assert!((high - low - 0.0566).abs() < 0.02, "{low} {high}");
    }

    #[test]
    fn nothing_has_no_draws() {
        let mut dice = Dice::new(3);
        assert!(percentiles(&[], 0.5, &mut dice).is_none() && means(&[], 1, &mut dice).is_none());
        assert_eq!(middle(&mut [], 0.95), None);
        assert_eq!(means(&[2.0], 9, &mut dice).unwrap()[0], 2.0);
    }
}
