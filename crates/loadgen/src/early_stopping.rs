//! LoadGen's early stopping, asked itself: how many samples a Server test needs that had so many over a limit.

use crate::ffi;

/// The fewest samples of a test at which `over` of them may be over a limit on `percentile` (between 0 and 1, both excluded).
///
/// ```
/// // Of 6396 samples 45 may be over a limit on the 99th percentile.
/// use loadgen::samples_needed;
/// assert!(samples_needed(45, 0.99) <= 6396 && samples_needed(46, 0.99) > 6396);
/// ```
pub fn samples_needed(over: u64, percentile: f64) -> u64 {
    let over = i64::try_from(over).unwrap_or(i64::MAX);
    let within = ffi::min_passing(over, percentile);
    u64::try_from(over.saturating_add(within)).unwrap_or(u64::MAX)
}

/// The most of `samples` that may be over such a limit; `None` where there are too few for any sample.
pub fn most_over(samples: u64, percentile: f64) -> Option<u64> {
    let holds = |over: u64| samples_needed(over, percentile) <= samples;
    if !holds(0) {
        return None;
    }
    // What holds for some holds for fewer.
    let (mut low, mut high) = (0, samples);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match holds(middle) {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of published runs and of the rules.
    #[test]
    fn the_known_figures_come_out() {
        for (samples, over) in [
            (458, None),
            (459, Some(0)),
            (661, Some(0)),
            (662, Some(1)),
            (6396, Some(45)),
        ] {
            assert_eq!(most_over(samples, 0.99), over, "{samples}");
        }
    }
}
