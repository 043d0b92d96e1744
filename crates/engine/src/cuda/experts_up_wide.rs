//! Launches `kernels/experts_up_wide.cu`.

use super::buffer::CudaBuf;
use super::device::{Device, Kernel};
use super::experts_up::{ExpertsArgs, checked};
use super::route::CudaRouting;
use super::weights::CudaExperts;
use crate::ops::Done;

/// Rows of a matrix that a block takes (`WIDE_ROWS`).
const ROWS: usize = 192;
/// Places of a tile (`WIDE_PLACES`), and what all but an expert's last are a multiple of: widths of wgmma that are built.
pub(super) const PLACES: usize = 128;
pub(super) const UNIT: usize = 32;
/// Bytes of shared memory for the stages (`WIDE_STAGES` of `WIDE_STAGE`).
const STAGES: usize = 8 * (PLACES * 128 + 2 * ROWS * 16);

/// Bytes of shared memory that a block needs.
fn shared(cols: usize) -> usize {
    STAGES + ROWS * (cols / 32)
}

/// Whether the wide kernels take matrices of this shape on this device.
pub(super) fn takes(d: &Device, outs: usize, cols: usize) -> bool {
    d.info().capability == (9, 0)
        && outs.is_multiple_of(64)
        && cols.is_multiple_of(64)
        && shared(cols) <= d.most_shared()
}

/// A block for each multiprocessor, which goes from tile to tile.
pub(super) fn launch(d: &Device, kernel: Kernel, args: &ExpertsArgs) -> Done {
    let (_, cols) = args.shape();
    let grid = (d.info().multiprocessors, 1);
    // SAFETY: `checked` has seen all operands; `takes` is the caller's condition; tiles name experts and places that
    // `schedule` wrote in this step, at most `PLACES` each.
    unsafe { d.launch_shared(kernel, grid, 384, shared(cols) as u32, args) }
}

pub(super) fn experts_up_wide(
    d: &Device,
    rows: usize,
    x: &CudaBuf,
    w: &CudaExperts,
    limit: f32,
    routing: &CudaRouting,
) -> Done {
    launch(
        d,
        Kernel::ExpertsUpWide,
        &checked(rows, x, w, limit, routing)?,
    )
}
