//! How long the prompts are.

use std::sync::Arc;

/// Lengths of prompts in tokens. Percentiles are nearest-rank: a length that some prompt really has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TokenStats {
    /// The shortest prompt.
    pub min: usize,
    /// The average.
    pub mean: f64,
    /// The median.
    pub p50: usize,
    /// 99 of 100 prompts are no longer than this.
    pub p99: usize,
    /// The longest prompt.
    pub max: usize,
    /// All prompts together.
    pub total: u64,
}

impl TokenStats {
    /// The statistics of `prompts`; all zero when there are none.
    pub fn of(prompts: &[Arc<[u32]>]) -> Self {
        let mut lengths: Vec<usize> = prompts.iter().map(|p| p.len()).collect();
        lengths.sort_unstable();
        let (Some(&min), Some(&max)) = (lengths.first(), lengths.last()) else {
            return Self::default();
        };
        let total = lengths.iter().map(|&n| n as u64).sum();
        let rank = |percent: usize| lengths[(lengths.len() * percent).div_ceil(100).max(1) - 1];
        Self {
            min,
            mean: total as f64 / lengths.len() as f64,
            p50: rank(50),
            p99: rank(99),
            max,
            total,
        }
    }
}

/// How many prompts have lengths in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bin {
    /// The shortest length that counts.
    pub from: usize,
    /// The longest length that counts.
    pub to: usize,
    /// The prompts.
    pub prompts: usize,
}

/// At most `bars` ranges of the same width that together hold every prompt once, from the shortest to the longest.
pub fn histogram(prompts: &[Arc<[u32]>], bars: usize) -> Vec<Bin> {
    let lengths = || prompts.iter().map(|p| p.len());
    let (Some(min), Some(max)) = (lengths().min(), lengths().max()) else {
        return Vec::new();
    };
    let width = (max - min + 1).div_ceil(bars.max(1));
    let mut found: Vec<Bin> = (min..=max)
        .step_by(width)
        .map(|from| Bin {
            from,
            to: (from + width - 1).min(max),
            prompts: 0,
        })
        .collect();
    for length in lengths() {
        found[(length - min) / width].prompts += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_holds_every_prompt_once() {
        let of = |lengths: &[usize], bars| {
            let prompts: Vec<Arc<[u32]>> = lengths.iter().map(|&n| vec![0; n].into()).collect();
            let bars = histogram(&prompts, bars);
            bars.iter()
                .map(|bar| (bar.from, bar.to, bar.prompts))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&[5, 5, 5], 10), [(5, 5, 3)]);
        assert_eq!(of(&[1, 2, 10], 3), [(1, 4, 2), (5, 8, 0), (9, 10, 1)]);
        assert_eq!(of(&[1, 100], 10).len(), 10);
        assert_eq!(of(&[], 10), []);
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let prompts: Vec<Arc<[u32]>> = (1..=200).rev().map(|n| vec![0; n].into()).collect();
        let stats = TokenStats::of(&prompts);
        assert_eq!(
            (stats.min, stats.p50, stats.p99, stats.max, stats.total),
            (1, 100, 198, 200, 20100)
        );
        assert_eq!(stats.mean, 100.5);
        assert_eq!(TokenStats::of(&prompts[..1]).p99, 200);
        assert_eq!(TokenStats::of(&[]), TokenStats::default());
    }
}
