//! Which kernels take an operation: bound by memory below some number of rows, by the tensor cores above. Host side only.

use super::route::CudaRouting;

/// A family of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Regime {
    /// Takes everything.
    Plain,
    /// Few rows: reads weights as fast as memory gives them, once for 16 rows.
    Thin,
    /// Many rows: Hopper's tensor cores.
    Wide,
}

/// Places an expert has on average from which on the wide kernels take them. The thin ones read an expert's weights anew for
/// each 16 places, the wide ones once for 128; at 16 places on average half of the experts need a second reading. Below
/// that the thin ones have more loads in flight. To be measured.
const WIDE_PLACES: usize = 16;

/// For both products of a step's experts.
pub(super) fn experts(rows: usize, routing: &CudaRouting, wide_takes: bool) -> Regime {
    if wide_takes && rows * routing.top_k >= WIDE_PLACES * routing.experts {
        Regime::Wide
    } else {
        Regime::Thin
    }
}

/// Rows from which on the wide kernel takes a dense product. The thin one reads the matrix again for each 16 rows, from the
/// second-level cache at best: four times at 64 rows, 21 us for 5,120 x 2,880 at 5.5 TB/s by count, where the wide one
/// reads it once, on the 32 multiprocessors that have a block. To be measured.
const WIDE_ROWS: usize = 64;

/// For a dense product.
pub(super) fn linear(rows: usize, wide_takes: bool) -> Regime {
    if wide_takes && rows >= WIDE_ROWS {
        Regime::Wide
    } else {
        Regime::Thin
    }
}
