//! What a statistic would have been had the run come out a little differently: draws by the bootstrap, the same each time.
//!
//! Values that follow each other depend on each other: what makes one sample wait makes its neighbours wait. How much, is
//! measured from the values themselves, by stretches of them; and because a few stretches measure it badly, each draw takes the
//! variance for a little smaller or greater, as a chi-square variable says. That is what makes Student's distribution of the
//! normal one: without it intervals were too narrow, and left the truth out more often than they said.

use ossmark_record::percentile;
use rand::{Rng, RngCore};
use rand_distr::{Beta, ChiSquared, Distribution};
use rand_mt::Mt64;

/// Draws of a statistic: enough for the ends of an interval at 99.4%.
pub(crate) const DRAWS: usize = 10_000;
/// Stretches by which the dependence of neighbours is measured, and the fewest values of one.
const STRETCHES: usize = 30;
const LEAST: usize = 10;

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

/// A percentile of resamples of `values`, which are in order of issue; LoadGen's way of counting.
///
/// Resamples are not made: the value at a place among `n` that are drawn with replacement is the one at the place that a beta
/// variable says (the order statistic of `n` uniform ones), which costs the same for any number of samples. Of values that
/// depend on each other as many count as say as much independently.
pub(crate) fn percentiles(values: &[i64], p: f64, dice: &mut Dice) -> Option<Vec<f64>> {
    let n = values.len();
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let value = percentile(&sorted, p)?;
    let place = ((n as f64 * p) as usize).min(n - 1);
    let (a, b) = ((place + 1) as f64, (n - place) as f64);
    let stretches = STRETCHES.min(n / LEAST);
    let times = dependence(values, value, stretches);
    let spread = Spread::of(stretches);
    let draw = |_| {
        let times = times * spread.draw(dice);
        let at: f64 = Beta::new(a / times, b / times).ok()?.sample(dice);
        Some(sorted[((at * n as f64) as usize).min(n - 1)] as f64)
    };
    (0..DRAWS).map(draw).collect()
}

/// How many values say as much as one that does not depend on its neighbours, about the share of them that is `threshold` at
/// the most: the variance of that share from stretch to stretch beside that of as many independent values. Never below 1: that
/// neighbours make up for each other is not believed.
fn dependence(values: &[i64], threshold: i64, stretches: usize) -> f64 {
    if stretches < 2 {
        return 1.0;
    }
    let length = values.len() / stretches;
    let share = |values: &[i64]| {
        let within = values.iter().filter(|value| **value <= threshold).count();
        within as f64 / values.len() as f64
    };
    let all = share(&values[..stretches * length]);
    let of = values.chunks_exact(length).take(stretches).map(share);
    let squares: f64 = of.map(|share| (share - all).powi(2)).sum();
    let times = squares / (stretches - 1) as f64 / (all * (1.0 - all) / length as f64);
    // Where all values are equal there is nothing to tell.
    if times.is_finite() {
        times.max(1.0)
    } else {
        1.0
    }
}

/// What a variance that so many stretches have measured may be in truth, by what it was measured as.
struct Spread(Option<(ChiSquared<f64>, f64)>);

impl Spread {
    fn of(stretches: usize) -> Self {
        let freedom = stretches.saturating_sub(1) as f64;
        Self(ChiSquared::new(freedom).ok().map(|chi| (chi, freedom)))
    }

    fn draw(&self, dice: &mut Dice) -> f64 {
        let Some((chi, freedom)) = &self.0 else {
            return 1.0;
        };
        freedom / chi.sample(dice).max(f64::MIN_POSITIVE)
    }
}

/// The mean of resamples of `values`, which are drawn in runs of `block` that follow each other (the last is followed by the
/// first), because neighbours are like each other. `None` where there is one run of them at the most, which says nothing.
pub(crate) fn means(values: &[f64], block: usize, dice: &mut Dice) -> Option<Vec<f64>> {
    let n = values.len();
    let block = block.clamp(1, n.max(1));
    if n < 2 || block == n {
        return None;
    }
    // Sums from the first on, around once and a block more.
    let mut sums = vec![0.0];
    for value in values.iter().chain(&values[..block.min(n)]) {
        sums.push(sums.last()? + value);
    }
    let blocks = n.div_ceil(block);
    let center = values.iter().sum::<f64>() / n as f64;
    // Resamples of few differ by less than their means would.
    let few = blocks as f64 / (blocks - 1) as f64;
    let spread = Spread::of(blocks);
    let draw = |_| {
        let mut sum = 0.0;
        for _ in 0..blocks {
            let from = dice.random_range(0..n);
            sum += sums[from + block] - sums[from];
        }
        let off = sum / (blocks * block) as f64 - center;
        center + off * (few * spread.draw(dice)).sqrt()
    };
    Some((0..DRAWS).map(draw).collect())
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
        let sorted: Vec<i64> = (0..500).map(|_| dice.random_range(0..1_000_000)).collect();
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
            // Wider, by as much as 30 stretches leave open, and not much wider.
            assert!(
                (-0.05..0.3).contains(&((c - a) / width))
                    && (-0.05..0.3).contains(&((b - d) / width)),
                "{p}: {a} {b}, {c} {d}"
            );
        }
    }

    /// Runs of equal values say as much as one of each.
    #[test]
    fn values_that_depend_on_each_other_count_for_fewer() {
        let mut dice = Dice::new(4);
        let alone: Vec<i64> = (0..600).map(|_| dice.random_range(0..1_000_000)).collect();
        let together: Vec<i64> = alone.iter().flat_map(|value| [*value; 10]).collect();
        let mut width = |values: &[i64]| {
            let [low, high] = middle(&mut percentiles(values, 0.5, &mut dice).unwrap(), 0.95)?;
            Some(high - low)
        };
        let (alone, together) = (width(&alone).unwrap(), width(&together).unwrap());
        assert!(
            (0.6..1.6).contains(&(together / alone)),
            "{alone} {together}"
        );
        let (mut rising, mut mixed): (Vec<i64>, Vec<i64>) = ((0..3000).collect(), Vec::new());
        assert!(dependence(&rising, 1500, 30) > 50.0);
        while !rising.is_empty() {
            mixed.push(rising.swap_remove(dice.random_range(0..rising.len())));
        }
        assert!(dependence(&mixed, 1500, 30) < 2.5);
        // Taking turns is not better than chance, and equal values say nothing.
        assert_eq!(dependence(&[1, 2].repeat(300), 1, 30), 1.0);
        assert_eq!(dependence(&[7; 300], 7, 30), 1.0);
        assert_eq!(dependence(&[1, 2], 1, 0), 1.0);
    }

    #[test]
    fn means_have_the_spread_of_a_mean() {
        let mut dice = Dice::new(2);
        let values: Vec<f64> = (0..400).map(|_| dice.random::<f64>()).collect();
        let [low, high] = middle(&mut means(&values, 1, &mut dice).unwrap(), 0.95).unwrap();
        // 1.96 * 2 * sqrt(1/12 / 400)
        assert!((high - low - 0.0566).abs() < 0.008, "{low} {high}");
        // Three values: Student's 4.30 instead of 1.96, of a variance that is divided by two.
        let [low, high] =
            middle(&mut means(&[9.0, 10.0, 11.0], 1, &mut dice).unwrap(), 0.95).unwrap();
        assert!((3.0..9.0).contains(&(high - low)), "{low} {high}");
        // Resamples of five alone would give 0.479 instead of the 0.536 of their means' variance.
        let few = [1.0, 2.0, 3.0, 4.0, 5.0];
        let [low, high] = middle(&mut means(&few, 1, &mut dice).unwrap(), 0.5).unwrap();
        assert!(((high - low) / 2.0 - 0.536).abs() < 0.025, "{low} {high}");
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
        // One value does not say how far another would be from it.
        assert!(
            means(&[2.0], 9, &mut dice).is_none() && means(&[2.0, 3.0], 2, &mut dice).is_none()
        );
        assert_eq!(means(&[2.0, 2.0], 1, &mut dice).unwrap()[0], 2.0);
    }
}
