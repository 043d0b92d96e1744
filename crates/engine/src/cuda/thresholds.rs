//! From how many rows on which kernels take the work: counted, or chosen by times that were measured. Pure.

use serde::{Deserialize, Serialize};

use crate::config::ModelConfig;

/// Rows from which on the wgmma kernel takes a dense product. The mma one reads the matrix again for each 16 rows, from the
/// second-level cache at best: four times at 64 rows, 21 us for 5,120 x 2,880 at 5.5 TB/s by count, where the wgmma one
/// reads it once, in parts of its columns (`linear_wgmma::parts`).
pub(super) const MIN_WGMMA_ROWS: u32 = 64;

/// Rows from which on the router's product and what follows it are two launches: until then one wave of blocks of 32 outputs
/// and 16 rows does both, its 0.74 MB of weights from the second-level cache, where the wgmma kernel has one block for 128
/// outputs.
const MIN_ROWS_OF_ROUTE: u32 = 513;

/// Rows an expert has on average from which on the wgmma kernels take them. The mma ones read an expert's weights anew for
/// each 16 rows, the wgmma ones once for 128; at 16 rows on average half of the experts need a second reading. Below
/// that the mma ones have more loads in flight.
const MIN_WGMMA_ROWS_OF_EXPERT: usize = 16;

/// As a number of rows: no step has so many.
pub(super) const NEVER: u32 = u32::MAX;

/// For each operation that has kernels for few and for many rows, the rows of a step from which on those for many take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// The product for queries, keys and values: `linear_wgmma`.
    pub qkv: u32,
    /// Attention's last product, likewise.
    pub out: u32,
    /// The head, likewise.
    pub head: u32,
    /// The router's product and the choice of experts as two launches.
    pub router: u32,
    /// The experts: `moe_gate_up_wgmma` and `moe_down_wgmma`.
    pub experts: u32,
}

/// An operation that has a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimedOp {
    /// The product for queries, keys and values.
    Qkv,
    /// Attention's last product.
    Out,
    /// The router, and the choice of experts.
    Router,
    /// The experts.
    Experts,
    /// The head.
    Head,
}

impl TimedOp {
    pub(super) const ALL: [Self; 5] = [
        Self::Qkv,
        Self::Out,
        Self::Router,
        Self::Experts,
        Self::Head,
    ];
}

/// What an operation took, all layers together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TimedRows {
    /// It.
    pub op: TimedOp,
    /// Rows that it had.
    pub rows: u32,
    /// Milliseconds by the kernels for few rows.
    pub few_ms: f64,
    /// Milliseconds by the kernels for many rows.
    pub many_ms: f64,
}

impl Thresholds {
    /// Those that were counted for this model, and hold where nothing was measured.
    pub(super) fn counted(c: &ModelConfig) -> Self {
        let experts = (MIN_WGMMA_ROWS_OF_EXPERT * c.experts).div_ceil(c.top_k.max(1));
        Self {
            qkv: MIN_WGMMA_ROWS,
            out: MIN_WGMMA_ROWS,
            head: MIN_WGMMA_ROWS,
            router: MIN_ROWS_OF_ROUTE,
            experts: experts as u32,
        }
    }

    /// The same number for all of them.
    pub(super) fn all(rows: u32) -> Self {
        Self {
            qkv: rows,
            out: rows,
            head: rows,
            router: rows,
            experts: rows,
        }
    }

    /// Rows from which on every kernel takes a part; the router's two launches are of kernels that others use, too.
    pub(super) fn for_all(&self) -> usize {
        let all = [self.qkv, self.out, self.head, self.experts];
        all.into_iter().max().unwrap_or(0) as usize
    }

    /// That of a dense product of the model of this shape, or the counted one for any other.
    pub(super) fn of_linear(&self, c: &ModelConfig, outs: usize, cols: usize) -> usize {
        let from = if (outs, cols) == (c.qkv_dim(), c.hidden) {
            self.qkv
        } else if (outs, cols) == (c.hidden, c.q_dim()) {
            self.out
        } else if (outs, cols) == (c.vocab_size, c.hidden) {
            self.head
        } else {
            MIN_WGMMA_ROWS
        };
        from as usize
    }

    fn of(&mut self, op: TimedOp) -> &mut u32 {
        match op {
            TimedOp::Qkv => &mut self.qkv,
            TimedOp::Out => &mut self.out,
            TimedOp::Router => &mut self.router,
            TimedOp::Experts => &mut self.experts,
            TimedOp::Head => &mut self.head,
        }
    }

    /// Those that these times ask for; the counted ones where nothing was measured, or nothing is clearly faster.
    pub(super) fn chosen(counted: Self, times: &[TimedRows]) -> Self {
        let mut chosen = counted;
        for op in TimedOp::ALL {
            let of_op: Vec<TimedRows> = times.iter().filter(|t| t.op == op).copied().collect();
            let from = chosen.of(op);
            *from = threshold(*from, &of_op);
        }
        chosen
    }
}

/// How much more than the best choice the counted one may take, and is still kept: what a measurement repeats to.
const CLEARLY: f64 = 1.03;

/// The number of rows that costs least over what was measured, each number of rows counting alike.
fn threshold(counted: u32, times: &[TimedRows]) -> u32 {
    let cost = |from: u32| -> f64 {
        let share = |t: &TimedRows| {
            let took = if t.rows >= from { t.many_ms } else { t.few_ms };
            took / t.few_ms.min(t.many_ms).max(f64::MIN_POSITIVE)
        };
        times.iter().map(share).sum()
    };
    let mut rows: Vec<u32> = times.iter().map(|t| t.rows).collect();
    rows.sort_unstable();
    // From the first on is from any number on.
    if let Some(first) = rows.first_mut() {
        *first = 1;
    }
    rows.push(NEVER);
    let best = rows
        .into_iter()
        .min_by(|a, b| cost(*a).total_cmp(&cost(*b)));
    match best {
        Some(best) if cost(counted) > CLEARLY * cost(best) => best,
        Some(_) | None => counted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(few: &[(u32, f64, f64)]) -> Vec<TimedRows> {
        let timed = |(rows, few_ms, many_ms): &(u32, f64, f64)| TimedRows {
            op: TimedOp::Qkv,
            rows: *rows,
            few_ms: *few_ms,
            many_ms: *many_ms,
        };
        few.iter().map(timed).collect()
    }

    #[test]
    fn the_faster_kernel_takes_the_rows() {
        // Where they cross, always, never.
        let crossing = times(&[
            (1, 1.0, 5.0),
            (16, 2.0, 5.0),
            (64, 8.0, 5.0),
            (256, 32.0, 6.0),
        ]);
        assert_eq!(threshold(300, &crossing), 64);
        assert_eq!(threshold(8, &times(&[(8, 3.0, 1.0), (64, 9.0, 1.0)])), 8);
        assert_eq!(threshold(64, &times(&[(8, 3.0, 1.0), (64, 9.0, 1.0)])), 1);
        assert_eq!(
            threshold(64, &times(&[(8, 1.0, 3.0), (64, 1.0, 9.0)])),
            NEVER
        );
    }

    #[test]
    fn the_counted_one_stays_where_nothing_is_clearly_faster() {
        assert_eq!(threshold(64, &[]), 64);
        let alike = times(&[(1, 1.0, 1.01), (64, 1.0, 1.01), (256, 1.01, 1.0)]);
        assert_eq!(threshold(100, &alike), 100);
        // Two launches that take no time at all.
        assert_eq!(threshold(64, &times(&[(64, 0.0, 0.0)])), 64);
    }

    #[test]
    fn each_operation_has_its_own() {
        let counted = Thresholds::all(64);
        let mut slow = times(&[(1, 1.0, 9.0), (256, 1.0, 9.0)]);
        slow.iter_mut().for_each(|t| t.op = TimedOp::Experts);
        let chosen = Thresholds::chosen(counted, &slow);
        assert_eq!(
            chosen,
            Thresholds {
                experts: NEVER,
                ..counted
            }
        );
    }
}
