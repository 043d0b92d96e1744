//! Launches `kernels/linear_wgmma.cu`.

use super::args::{Linear, LinearArgs};
use crate::cuda::driver::{Device, Kernel, Memory, load_failed};
use crate::cuda::weights::CudaLinear;
use crate::load_error::LoadError;
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct LinearWgmmaArgs {
    linear: LinearArgs,
    partials: u64,
    ended: u64,
}
const _: () = assert!(
    size_of::<LinearWgmmaArgs>() == 64 && std::mem::offset_of!(LinearWgmmaArgs, partials) == 48
);

/// Rows and outputs of a block (`DENSE_ROWS`, `DENSE_OUTS`).
pub(crate) const ROWS: u32 = 256;
pub(crate) const OUTS: u32 = 160;
/// Columns of a step.
const STEP: u32 = 64;
/// Bytes of shared memory: four stages of 64 columns of both.
pub(crate) const SHARED: u32 = 4 * (ROWS + OUTS) * 128;

/// Most parts of the columns of one tile: the last block of a tile reads all parts' sums, by count some 2,000 cycles for each
/// part of 160 rows, where the part takes 10,000 of the 60,000 of the longest product (2,880 x 4,096).
const MAX_PARTS: u32 = 6;
/// Fewest steps of a part: a block has two on their way before its first product.
const MIN_STEPS: u32 = 4;

/// Parts for so many tiles: as many blocks as there are multiprocessors, for each takes one.
fn parts(tiles: u32, cols: u32, multiprocessors: u32) -> u32 {
    let room = multiprocessors / tiles.max(1);
    room.min(MAX_PARTS).min(cols / STEP / MIN_STEPS).max(1)
}

/// Where blocks that share a tile leave their sums; one launch after the other.
pub(crate) struct ColumnParts {
    partials: Memory,
    ended: Memory,
}

impl ColumnParts {
    /// For as many blocks as there are multiprocessors.
    pub(crate) fn new(d: &Device) -> Result<Self, LoadError> {
        let blocks = d.info().multiprocessors as usize;
        let sums = (ROWS * OUTS) as usize * 4;
        let parts = Self {
            partials: d.memory("parts of sums", blocks * sums)?,
            ended: d.memory("the counters of parts", blocks * 4)?,
        };
        d.fill(&parts.ended, 0).map_err(load_failed)?;
        Ok(parts)
    }
}

/// Whether the kernel takes this matrix on this device.
pub(crate) fn takes(d: &Device, w: &CudaLinear) -> bool {
    d.info().capability == (9, 0)
        && w.cols.is_multiple_of(64)
        && w.outs.is_multiple_of(8)
        && SHARED as usize <= d.max_shared()
}

pub(crate) fn linear_wgmma(p: &Linear<'_>, of_columns: &ColumnParts) -> OpResult {
    let linear = p.checked()?;
    let (across, down) = (linear.outs.div_ceil(OUTS), linear.rows.div_ceil(ROWS));
    let parts = parts(
        across * down,
        p.w.cols as u32,
        p.device.info().multiprocessors,
    );
    let args = LinearWgmmaArgs {
        linear,
        partials: of_columns.partials.at(),
        ended: of_columns.ended.at(),
    };
    let grid = (across * parts, down);
    // SAFETY: `checked` has seen all operands; `takes` is the caller's condition; the kernel stays below rows and outputs. With
    // more than one part there are at most as many blocks as multiprocessors, for which there are sums and counters.
    unsafe {
        p.device
            .launch_shared(Kernel::LinearWgmma, grid, 256, SHARED, &args)
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn few_tiles_are_cut_as_far_as_there_are_multiprocessors() {
        // Queries, keys and values; the last product of attention; the head; of an H200.
        let qkv = |rows: u32| parts(32 * rows.div_ceil(256), 2880, 132);
        let out = |rows: u32| parts(18 * rows.div_ceil(256), 4096, 132);
        assert_eq!([64, 256, 257, 512, 513].map(qkv), [4, 4, 2, 2, 1]);
        assert_eq!(
            [64, 256, 257, 512, 513, 768, 769].map(out),
            [6, 6, 3, 3, 2, 2, 1]
        );
        assert_eq!(parts(1257, 2880, 132), 1);
        // No part without steps.
        assert_eq!(
            [64, 448, 512, 1600].map(|cols| parts(1, cols, 132)),
            [1, 1, 2, 6]
        );
    }
}
