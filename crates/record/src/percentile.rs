//! Percentiles and counts as LoadGen computes them, exact.

/// The value of percentile `p` (0.99 is the 99th) of values in rising order: the one at place `count * p`, cut off, counting
/// from 0. `None` of nothing.
///
/// Source: LoadGen's `results.cc`, `PerformanceSummary::ProcessLatencies`, which multiplies in floating point as this does. Of
/// 100 values the 99th percentile is the greatest; nearest-rank would take the one before.
pub fn percentile(sorted: &[i64], p: f64) -> Option<i64> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[place(sorted.len() as u64, p).min(last as u64) as usize])
}

/// The place of percentile `p` of `count` values in rising order.
pub(crate) fn place(count: u64, p: f64) -> u64 {
    (count as f64 * p) as u64
}

/// How many values are over a limit: greater than it, as early stopping counts (LoadGen's `results.cc`, `EarlyStopping`).
pub fn over(values: impl IntoIterator<Item = i64>, limit_ns: i64) -> u64 {
    let over = values.into_iter().filter(|value| *value > limit_ns);
    over.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places worked out by hand from `vector[count * p]`.
    #[test]
    fn the_place_is_loadgens() {
        let values: Vec<i64> = (0..6396).collect();
        for (count, p, found) in [
            (1, 0.99, 0),
            (2, 0.5, 1),
            (3, 0.5, 1),
            (99, 0.99, 98),
            (100, 0.99, 99),
            (101, 0.99, 99),
            (200, 0.99, 198),
            (6396, 0.99, 6332),
            (6396, 0.999, 6389),
            (6396, 0.9, 5756),
            (6396, 0.0, 0),
        ] {
            assert_eq!(percentile(&values[..count], p), Some(found), "{count} {p}");
        }
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn no_percentile_is_outside() {
        for p in [1.0, 2.0, f64::INFINITY] {
            assert_eq!(percentile(&[1, 2], p), Some(2));
        }
        for p in [-1.0, f64::NAN] {
            assert_eq!(percentile(&[1, 2], p), Some(1));
        }
    }

    #[test]
    fn a_value_at_the_limit_is_not_over_it() {
        assert_eq!(over([1, 2, 3, 3, 4], 3), 1);
        assert_eq!(over([], 0), 0);
    }
}
