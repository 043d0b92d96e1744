//! Decode steps recorded once and launched as a whole: which sizes there are, and what was recorded for each.
//!
//! A recorded launch keeps its arguments, so that everything that changes from step to step lies in the step's metadata
//! (`step.rs`); rows that only fill a size up have no sequence, and no kernel reads or writes anything for them.

use std::collections::BTreeMap;

use super::memory::Graph;

/// Up to here, every power of two; from here on, multiples of it: what `linear_thin` does in one round.
const ROUND: usize = 16;

/// Sizes of decode steps that are recorded, for at most `rows` rows.
pub(super) fn sizes(rows: usize) -> Vec<usize> {
    let powers = (0..).map(|i| 1 << i).take_while(|n| *n < ROUND);
    let rounds = (1..=rows / ROUND).map(|i| i * ROUND);
    let mut sizes: Vec<usize> = powers.filter(|n| *n < rows).chain(rounds).collect();
    if sizes.last() != Some(&rows) {
        sizes.push(rows);
    }
    sizes
}

/// What was recorded.
#[derive(Default)]
pub(super) struct Graphs(BTreeMap<usize, Graph>);

impl Graphs {
    pub(super) fn keep(&mut self, rows: usize, graph: Graph) {
        self.0.insert(rows, graph);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The smallest size that holds this many rows.
    pub(super) fn size_for(&self, rows: usize) -> Option<usize> {
        self.0.range(rows..).next().map(|(rows, _)| *rows)
    }

    pub(super) fn get(&self, rows: usize) -> Option<&Graph> {
        self.0.get(&rows)
    }
}

#[cfg(test)]
mod tests {
    use super::sizes;

    #[test]
    fn sizes_end_with_the_most_rows() {
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(3), [1, 2, 3]);
        assert_eq!(sizes(16), [1, 2, 4, 8, 16]);
        assert_eq!(sizes(40), [1, 2, 4, 8, 16, 32, 40]);
        assert_eq!(sizes(256).len(), 20);
    }
}
