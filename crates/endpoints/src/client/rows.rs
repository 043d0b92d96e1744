//! Which row of the data set each sample was, and whether the rows come in the order that a seed gives.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use crate::order::{Draws, SampleOrder};

/// `sample_idx_map.json`: of each phase, uuid to row.
#[derive(Debug, Deserialize)]
struct Phases {
    #[serde(default)]
    performance: HashMap<String, u32>,
}

/// 40 bytes a sample, of which a run has some hundred thousand.
const MOST_BYTES: u64 = 128 << 20;
/// More rows are no data set's; shuffling them for a guess would take long.
const MOST_ROWS: u32 = 1 << 20;
/// Row counts that are tried cost this much shuffling together.
const MOST_WORK: u64 = 1 << 28;

/// A file up to a size.
pub(crate) fn bytes(file: &Path, most: u64) -> Result<Vec<u8>, String> {
    let opened = ossmark_files::open(file).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let read = opened.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("found more than {most} bytes"));
    }
    Ok(bytes)
}

/// The rows of the samples, as they were issued.
pub(super) fn read(file: &Path, order: &[String]) -> Result<Vec<u32>, String> {
    let phases: Phases = serde_json::from_slice(&bytes(file, MOST_BYTES)?)
        .map_err(|error| format!("no map of samples: {error}"))?;
    let rows = order
        .iter()
        .map(|uuid| phases.performance.get(uuid).copied());
    let rows: Option<Vec<u32>> = rows.collect();
    rows.ok_or_else(|| "found no row for a sample of the log".into())
}

/// What the order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Shuffled by the seed, over so many rows.
    Shuffled(u32),
    /// Drawn by the seed with replacement, which the rules' text says and the client does not do.
    Drawn(u32),
    /// Another from this sample on, counted from 0.
    Other(usize),
}

/// Compares with the orders that a seed gives: of a data set with `known` rows, else of any that is possible.
pub(super) fn compare(rows: &[u32], seed: u64, known: Option<u32>) -> Order {
    let least = rows.iter().max().map_or(1, |row| row.saturating_add(1));
    // Two passes over fewer rows name nearly all of them, so that few counts are possible.
    let most = least.saturating_mul(2).saturating_add(64).min(MOST_ROWS);
    let possible = match known {
        Some(count) => count..=count,
        None => least..=most,
    };
    let mut best = 0;
    let mut work = 0;
    for count in possible {
        work += u64::from(count);
        if count == 0 || work > MOST_WORK {
            break;
        }
        let same = shuffled(rows, seed, count);
        if same == rows.len() {
            return Order::Shuffled(count);
        }
        best = best.max(same);
        if Draws::new(seed, count)
            .zip(rows)
            .all(|(row, found)| row == *found)
        {
            return Order::Drawn(count);
        }
    }
    Order::Other(best)
}

/// How many samples agree before one does not.
fn shuffled(rows: &[u32], seed: u64, count: u32) -> usize {
    let mut order = SampleOrder::new(seed, count);
    let mut same = 0;
    for pass in rows.chunks(count as usize) {
        let expected = order.next_pass();
        let here = pass
            .iter()
            .zip(expected)
            .take_while(|(a, b)| a == b)
            .count();
        same += here;
        if here < pass.len() {
            break;
        }
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_told_from_others() {
        let seed = 10_487_924_139_932_647_040;
        let mut order = SampleOrder::new(seed, 512);
        let mut rows = order.next_pass().to_vec();
        rows.extend(order.next_pass());
        for known in [None, Some(512)] {
            assert_eq!(compare(&rows, seed, known), Order::Shuffled(512));
            assert_eq!(compare(&rows[..64], seed, known), Order::Shuffled(512));
            assert_eq!(compare(&rows, seed - 1, known), Order::Other(0));
        }
        assert_eq!(compare(&rows, seed, Some(511)), Order::Other(0));
        rows.swap(600, 601);
        assert_eq!(compare(&rows, seed, Some(512)), Order::Other(600));
        let drawn: Vec<u32> = Draws::new(seed, 512).take(700).collect();
        assert_eq!(compare(&drawn, seed, Some(512)), Order::Drawn(512));
        assert_eq!(compare(&[], seed, None), Order::Shuffled(1));
        assert_eq!(compare(&[u32::MAX], seed, None), Order::Other(0));
    }
}
