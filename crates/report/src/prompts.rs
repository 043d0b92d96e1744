//! Time to the first token by the length of the prompt.

use std::collections::BTreeMap;

use ossmark_record::{Row, percentile};
use serde::Serialize;

use crate::limit::ms;

/// Cells of the plot: samples that fall into one are drawn once, the darker the more they are.
pub(crate) const CELLS: (u32, u32) = (96, 48);
/// Lines of the table.
const LINES: u32 = 12;

/// Time to the first token by the length of the prompt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prompts {
    /// Samples with a first token.
    pub samples: u64,
    /// The longest prompt in tokens.
    pub most_tokens: u32,
    /// The slowest first token.
    pub most_ms: f64,
    /// Samples by cell: tokens, then time, each from 0 in parts of the greatest.
    #[serde(skip)]
    pub cells: BTreeMap<(u32, u32), u64>,
    /// The same as a table, by length.
    pub lines: Vec<Line>,
}

/// Prompts of about one length.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Fewest and most tokens of this line.
    pub tokens: (u32, u32),
    /// Samples.
    pub samples: u64,
    /// Median time to the first token.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
}

impl Prompts {
    /// Of the samples with a first token; `None` where there is none.
    pub fn of(rows: &[Row]) -> Option<Self> {
        let with_ttft = |row: &Row| Some((row.prompt_tokens, row.ttft_ns()?));
        let mut points: Vec<(u32, i64)> = rows.iter().filter_map(with_ttft).collect();
        let most_tokens = points.iter().map(|(tokens, _)| *tokens).max()?;
        let most_ns = points.iter().map(|(_, ns)| *ns).max()?.max(1);
        let part = |value: f64, most: f64, cells: u32| {
            ((value / most * f64::from(cells)) as u32).min(cells - 1)
        };
        let mut cells = BTreeMap::new();
        for (tokens, ns) in &points {
            let cell = (
                part(f64::from(*tokens), f64::from(most_tokens.max(1)), CELLS.0),
                part(*ns as f64, most_ns as f64, CELLS.1),
            );
            *cells.entry(cell).or_default() += 1;
        }
        points.sort_unstable();
        Some(Self {
            samples: points.len() as u64,
            most_tokens,
            most_ms: ms(most_ns),
            cells,
            lines: lines(&points, most_tokens),
        })
    }
}

fn lines(points: &[(u32, i64)], most_tokens: u32) -> Vec<Line> {
    let width = most_tokens / LINES + 1;
    let of_one_length = points.chunk_by(|a, b| a.0 / width == b.0 / width);
    let line = |points: &[(u32, i64)]| {
        let mut times: Vec<i64> = points.iter().map(|(_, ns)| *ns).collect();
        times.sort_unstable();
        let at = |p| percentile(&times, p).map_or(0.0, ms);
        let from = points[0].0 / width * width;
        Line {
            tokens: (from, from.saturating_add(width - 1)),
            samples: points.len() as u64,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
        }
    };
    of_one_length.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rows::row;

    #[test]
    fn cells_and_lines_hold_every_sample() {
        let rows: Vec<Row> = (0..500).map(|i| row(i, i as i64 % 97, 1, 5)).collect();
        let prompts = Prompts::of(&rows).unwrap();
        assert_eq!(prompts.cells.values().sum::<u64>(), 500);
        assert_eq!(
            prompts.lines.iter().map(|line| line.samples).sum::<u64>(),
            500
        );
        assert_eq!((prompts.most_tokens, prompts.most_ms), (149, 96.0));
        assert_eq!(Prompts::of(&[]), None);
        // The longest and the slowest are in the last cells, not behind them.
        let (last, _) = prompts.cells.last_key_value().unwrap();
        assert_eq!(last.0, CELLS.0 - 1);
        assert_eq!(
            prompts.cells.keys().map(|(_, ms)| *ms).max(),
            Some(CELLS.1 - 1)
        );
        // No prompt, and a first token before the sample began.
        let odd = Row {
            prompt_tokens: 0,
            ..row(0, -5, 1, 5)
        };
        assert_eq!(Prompts::of(&[odd]).unwrap().cells[&(0, 0)], 1);
    }
}
