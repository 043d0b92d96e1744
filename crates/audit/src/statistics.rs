//! Numbers of many numbers. Pure.

use statrs::function::erf::erfc;

/// How often a normal value is so many standard deviations off, to either side.
pub(crate) fn two_sided(off: f64) -> f64 {
    erfc(off.abs() / std::f64::consts::SQRT_2)
}

/// The value at a share `at` (0 to 1) of sorted ones; none of none.
pub(crate) fn quantile(sorted: &[f64], at: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[((last as f64 * at).round() as usize).min(last)])
}

/// The mean; none of none.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Spearman's rank correlation of pairs, -1 to 1; none where either side has one value only.
pub(crate) fn rank_correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let x = ranks(pairs.iter().map(|(x, _)| *x).collect());
    let y = ranks(pairs.iter().map(|(_, y)| *y).collect());
    let (mx, my) = (mean(&x)?, mean(&y)?);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        xy += (x - mx) * (y - my);
        xx += (x - mx) * (x - mx);
        yy += (y - my) * (y - my);
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

/// The place of each value among all, from 0; those of equals are their mean.
fn ranks(values: Vec<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let mut end = first + 1;
        while end < order.len() && values[order[end]] == values[order[first]] {
            end += 1;
        }
        for place in &order[first..end] {
            ranks[*place] = (first + end - 1) as f64 / 2.0;
        }
        first = end;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // Tables of the normal distribution: 4.55% are two standard deviations off.
        assert!((two_sided(2.0) - 0.045_500).abs() < 1e-5);
        assert_eq!(two_sided(-2.0), two_sided(2.0));
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 0.5), Some(2.0));
        assert_eq!((quantile(&[], 0.5), mean(&[])), (None, None));
    }

    #[test]
    fn ranks_go_together_or_against_each_other() {
        let pairs =
            |y: [f64; 4]| -> Vec<(f64, f64)> { [1.0, 2.0, 3.0, 4.0].into_iter().zip(y).collect() };
        assert_eq!(rank_correlation(&pairs([1.0, 8.0, 9.0, 100.0])), Some(1.0));
        assert_eq!(rank_correlation(&pairs([4.0, 3.0, 2.0, 1.0])), Some(-1.0));
        assert_eq!(rank_correlation(&pairs([4.0; 4])), None);
        assert_eq!(ranks(vec![5.0, 1.0, 5.0]), [1.5, 0.0, 1.5]);
    }
}
