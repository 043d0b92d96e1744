//! LoadGen's early stopping, from its mathematics: how many samples may be over a limit.
//!
//! A limit holds when, were the true share within it exactly the percentile, so few samples over it would be seen in less than
//! one of a hundred tests: the binomial tail P(X <= over) of `samples` trials, each over with 1 - percentile, is at most 1%.
//! Source: LoadGen's `early_stopping.cc` (confidence 0.99, tolerance 0) states the same through the incomplete beta function.

/// What the tail may be at most: LoadGen's confidence is 99%.
const TAIL: f64 = 0.01;

/// The percentile that the round's limits are for.
pub const PERCENTILE: f64 = 0.99;

/// The most samples of `samples` that may be over a limit on `percentile` (above 0, below 1); `None` when there are too few
/// samples for even one that is within it: 459 are needed for the 99th percentile.
///
/// ```
/// # use ossmark_record::early_stopping::{PERCENTILE, allowed_over};
/// assert_eq!(allowed_over(6396, PERCENTILE), Some(45));
/// assert_eq!((allowed_over(458, PERCENTILE), allowed_over(459, PERCENTILE)), (None, Some(0)));
/// ```
pub fn allowed_over(samples: u64, percentile: f64) -> Option<u64> {
    let (within, over) = (percentile, 1.0 - percentile);
    // In logarithms: 0.99^75000 is no double any more.
    let mut ln_term = samples as f64 * within.ln();
    let mut tail = 0.0;
    for k in 0..=samples {
        tail += ln_term.exp();
        if tail > TAIL {
            return k.checked_sub(1);
        }
        ln_term += ((samples - k) as f64 / (k + 1) as f64 * (over / within)).ln();
    }
    None
}

/// The fewest samples at which `over` of them may be over the limit.
///
/// ```
/// # use ossmark_record::early_stopping::{PERCENTILE, samples_for};
/// assert_eq!(samples_for(46, PERCENTILE), 6431);
/// ```
pub fn samples_for(over: u64, percentile: f64) -> u64 {
    let enough = |samples: u64| allowed_over(samples, percentile).is_some_and(|most| most >= over);
    let mut high = (over + 1).max(16);
    while !enough(high) {
        high = high.saturating_mul(2);
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        match enough(middle) {
            true => high = middle,
            false => low = middle,
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Worked out by others: facts of the round (459, 662, 45 of 6396, 6431) and 64 for one of ten.
    #[test]
    fn the_known_figures_come_out() {
        for (over, samples) in [(0, 459), (1, 662), (46, 6431)] {
            assert_eq!(samples_for(over, 0.99), samples);
            assert_eq!(allowed_over(samples, 0.99), Some(over));
            assert!(allowed_over(samples - 1, 0.99) < Some(over));
        }
        assert_eq!(allowed_over(6396, 0.99), Some(45));
        assert_eq!(samples_for(0, 0.9), 44);
        assert_eq!(samples_for(1, 0.9), 64);
        assert_eq!(allowed_over(0, 0.99), None);
    }

    /// The same tail by whole numbers of trials, term by term, where doubles hold it.
    fn tail(samples: u64, over: u64) -> f64 {
        let mut sum = 0.0;
        for k in 0..=over {
            let mut term = 0.99f64.powi((samples - k) as i32);
            for i in 0..k {
                term *= (samples - i) as f64 / (i + 1) as f64 * 0.01;
            }
            sum += term;
        }
        sum
    }

    proptest! {
        #[test]
        fn the_most_that_is_allowed_is_the_last_with_such_a_tail(samples in 459u64..20_000) {
            let most = allowed_over(samples, 0.99).unwrap();
            prop_assert!(tail(samples, most) <= TAIL);
            prop_assert!(tail(samples, most + 1) > TAIL);
        }

        #[test]
        fn more_samples_never_allow_fewer(samples in 0u64..2_000_000, more in 0u64..1000) {
            prop_assert!(allowed_over(samples + more, 0.99) >= allowed_over(samples, 0.99));
        }
    }
}
