//! Lengths of the answers.

use ossmark_record::Row;
use serde::Serialize;

/// Bars of the histogram.
const BARS: usize = 40;

/// Tokens of the answers of the samples that were completed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lengths {
    /// Samples.
    pub samples: u64,
    /// Mean tokens of an answer: what TEST09 looks at.
    pub mean: f64,
    /// The longest.
    pub most: u32,
    /// Answers that ended at the most tokens that were allowed.
    pub at_limit: u64,
    /// Width of a bar in tokens.
    pub width: u32,
    /// Samples in each bar; the first begins at 0.
    pub bars: Vec<u64>,
}

impl Lengths {
    /// Of the samples that were completed; `None` where there is none.
    pub fn of(rows: &[Row]) -> Option<Self> {
        let completed = || rows.iter().filter(|row| row.completed_ns.is_some());
        let most = completed().map(|row| row.output_tokens).max()?;
        let samples = completed().count() as u64;
        let width = (most / BARS as u32) + 1;
        let mut bars = vec![0; (most / width) as usize + 1];
        completed().for_each(|row| bars[(row.output_tokens / width) as usize] += 1);
        let tokens: u64 = completed().map(|row| u64::from(row.output_tokens)).sum();
        Some(Self {
            samples,
            mean: tokens as f64 / samples as f64,
            most,
            at_limit: completed()
                .filter(|row| row.end == ossmark_record::End::Length)
                .count() as u64,
            width,
            bars,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rows::row;

    #[test]
    fn every_answer_is_in_one_bar() {
        for tokens in [0, 1, 39, 40, 41, 1278, u32::MAX] {
            let rows: Vec<Row> = [tokens / 2, tokens, tokens / 3]
                .map(|n| row(0, 1, 0, n))
                .into();
            let lengths = Lengths::of(&rows).unwrap();
            assert_eq!(lengths.bars.iter().sum::<u64>(), 3, "{tokens}");
            assert!(lengths.bars.len() <= BARS + 1 && *lengths.bars.last().unwrap() > 0);
        }
        assert_eq!(Lengths::of(&[]), None);
    }
}
