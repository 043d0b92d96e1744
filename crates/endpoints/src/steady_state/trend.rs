//! Statistics of short series: trend, scatter, a change of level. Values are finite.

use statrs::function::erf::erf;

/// Fewer values have no trend.
pub(super) const LEAST: usize = 4;
/// What may be chance.
const SIGNIFICANT: f64 = 0.05;
const Z_95: f64 = 1.96;

/// Where a series goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trend {
    Up,
    Down,
    Steady,
}

/// The value that so large a part lies below or at, one that was seen; 0 for none.
pub(super) fn lower(mut values: Vec<f64>, p: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (p * values.len().saturating_sub(1) as f64) as usize;
    values.get(at).copied().unwrap_or(0.0)
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The middle, or the mean of the two; 0 for none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        n if n.is_multiple_of(2) => f64::midpoint(sorted[half - 1], sorted[half]),
        _ => sorted[half],
    }
}

/// Standard deviation of all values over their mean.
pub(super) fn variation(values: &[f64]) -> f64 {
    let mean = mean(values);
    if values.len() < 2 || mean == 0.0 {
        return 0.0;
    }
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (squares / values.len() as f64).sqrt() / mean.abs()
}

/// The change of a straight line through the values from one end to the other, over their median.
pub(super) fn drift(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let (middle, level) = ((n - 1.0) / 2.0, mean(values));
    let places = || {
        values
            .iter()
            .enumerate()
            .map(|(x, v)| (x as f64 - middle, v))
    };
    let across: f64 = places().map(|(x, v)| x * (v - level)).sum();
    let along: f64 = places().map(|(x, _)| x * x).sum();
    let slope = if along > 0.0 { across / along } else { 0.0 };
    slope * (n - 1.0) / non_zero(median(values))
}

/// So that a share of it is finite.
pub(super) fn non_zero(median: f64) -> f64 {
    if median == 0.0 { 1e-9 } else { median }
}

/// Mann and Kendall's test, with the variance that Hamed and Rao (1998) correct for values that resemble their neighbours;
/// `None` for too few values.
pub(super) fn trend(values: &[f64]) -> Option<Trend> {
    let n = values.len();
    if n < LEAST {
        return None;
    }
    let mut sum = 0i64;
    for (i, a) in values.iter().enumerate() {
        for b in &values[i + 1..] {
            sum += i64::from(b > a) - i64::from(b < a);
        }
    }
    let variance = variance(values) * correction(values);
    let direction = match sum {
        0 => Trend::Steady,
        1.. => Trend::Up,
        _ => Trend::Down,
    };
    if variance <= 0.0 {
        return Some(direction);
    }
    let z = (sum - sum.signum()) as f64 / variance.sqrt();
    let chance = 1.0 - erf(z.abs() / 2f64.sqrt());
    Some(if chance < SIGNIFICANT {
        direction
    } else {
        Trend::Steady
    })
}

/// Of the sum of signs, less where values are equal.
fn variance(values: &[f64]) -> f64 {
    let weight = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let ties: f64 = sorted
        .chunk_by(|a, b| a == b)
        .map(|same| weight(same.len() as f64))
        .sum();
    (weight(values.len() as f64) - ties) / 18.0
}

/// By the autocorrelation of the ranks, as far as it is significant; 1 where it would take all of the variance.
fn correction(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut off = vec![0.0; values.len()];
    for (rank, at) in order.into_iter().enumerate() {
        off[at] = rank as f64 - (n - 1.0) / 2.0;
    }
    let whole: f64 = off.iter().map(|d| d * d).sum();
    let mut sum = 0.0;
    for lag in 1..values.len() {
        let here: f64 = off[lag..].iter().zip(&off).map(|(a, b)| a * b).sum();
        let (alike, k) = (here / whole, lag as f64);
        if alike.abs() > Z_95 / n.sqrt() {
            sum += (n - k) * (n - k - 1.0) * (n - k - 2.0) * alike;
        }
    }
    let factor = 1.0 + 2.0 / (n * (n - 1.0) * (n - 2.0)) * sum;
    if factor > 0.0 { factor } else { 1.0 }
}

/// Pettitt's test (1979): after how many values the level changes, where that is no chance.
pub(super) fn change_of_level(values: &[f64]) -> Option<usize> {
    let n = values.len();
    if n < LEAST {
        return None;
    }
    let rank = |value: f64| {
        let below = values.iter().filter(|v| **v < value).count() as f64;
        let same = values.iter().filter(|v| **v == value).count() as f64;
        below + (same + 1.0) / 2.0
    };
    let (mut ranks, mut most, mut at) = (0.0, 0.0, 0);
    for (before, value) in values[..n - 1].iter().enumerate() {
        ranks += rank(*value);
        let first = before + 1;
        let statistic = (2.0 * ranks - (first * (n + 1)) as f64).abs();
        if statistic > most {
            (most, at) = (statistic, first);
        }
    }
    let n = n as f64;
    let chance = 2.0 * (-6.0 * most * most / (n.powi(3) + n.powi(2))).exp();
    (chance < SIGNIFICANT).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_a_trend_and_noise_is_none() {
        let up: Vec<f64> = (0..12).map(f64::from).collect();
        let down: Vec<f64> = up.iter().rev().copied().collect();
        let noise = [3.0, 1.0, 4.0, 1.5, 3.1, 2.0, 3.9, 1.1, 2.9, 2.2];
        assert_eq!(trend(&up[..3]), None);
        assert_eq!(trend(&noise), Some(Trend::Steady));
        assert_eq!(trend(&[7.0; 6]), Some(Trend::Steady));
        assert!(trend(&up) == Some(Trend::Up) && trend(&down) == Some(Trend::Down));
        assert!((drift(&up) - 2.0).abs() < 1e-12 && drift(&[7.0; 6]) == 0.0);
        assert!((variation(&[1.0, 3.0]) - 0.5).abs() < 1e-12);
        assert_eq!((median(&[3.0, 1.0]), median(&[5.0, 1.0, 2.0])), (2.0, 2.0));
    }

    #[test]
    fn a_step_is_a_change_of_level() {
        let step: Vec<f64> = (0..20)
            .map(|i| if i < 9 { 1.0 } else { 2.0 } + f64::from(i % 3) / 10.0)
            .collect();
        assert_eq!(change_of_level(&step), Some(9));
        assert_eq!(change_of_level(&[1.0, 1.2, 0.9, 1.1, 1.0, 1.1]), None);
    }
}
