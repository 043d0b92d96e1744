//! The variants of the experts' kernels: the tiles that they work on, and the matrices that they take.

use crate::cuda::driver::{Device, Kernel};
use crate::cuda::weights::CudaMatrices;
use crate::ops::OpResult;

/// Kernels for one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KernelVariant {
    /// Takes everything.
    Reference,
    /// Few rows: reads weights as fast as memory gives them, once for 16 rows.
    Mma,
    /// Many rows: Hopper's tensor cores.
    Wgmma,
}

/// Most rows of a tile, but for the wgmma kernels'.
pub(crate) const TILE: usize = 16;

impl KernelVariant {
    /// Most rows of a tile, and what all but an expert's last are a multiple of.
    pub(crate) fn tile(self) -> (usize, usize) {
        match self {
            Self::Wgmma => (WGMMA_ROWS, WGMMA_UNIT),
            Self::Mma | Self::Reference => (TILE, TILE),
        }
    }
}

/// Rows of a matrix that a block of the mma kernels takes.
const MMA_OUTS: usize = 64;

/// Blocks of the mma kernels that a multiprocessor has room for.
const MMA_BLOCKS: u32 = 2;

/// Starts one of the mma kernels: as many blocks as the device has room for, which go from piece of work to piece, or as many
/// as there may be pieces.
///
/// # Safety
/// As for [`Device::launch`]; and [`mma_takes`] the matrix, of so many rows.
pub(crate) unsafe fn launch_mma<A: Copy>(
    d: &Device,
    kernel: Kernel,
    (outs, max_tiles): (usize, usize),
    args: &A,
) -> OpResult {
    let pieces = (outs / MMA_OUTS * max_tiles) as u32;
    let grid = (pieces.min(MMA_BLOCKS * d.info().multiprocessors), 1);
    // SAFETY: the caller's promise.
    unsafe { d.launch(kernel, grid, 256, args) }
}

/// Whether the mma kernels take these matrices.
pub(crate) fn mma_takes(m: &CudaMatrices) -> bool {
    m.outs.is_multiple_of(MMA_OUTS) && m.moderate_scales
}

/// Rows of a tile (`MOE_WGMMA_ROWS`), and widths of wgmma that are built.
const WGMMA_ROWS: usize = 128;
const WGMMA_UNIT: usize = 32;
/// Bytes of shared memory: the stages (`MOE_WGMMA_STAGES` of `MOE_WGMMA_STAGE`).
const WGMMA_SHARED: u32 = 8 * 23 * 1024;
/// Three times four warps that multiply, and four that copy (`MOE_WGMMA_THREADS`).
const WGMMA_THREADS: u32 = 512;

/// Whether the wgmma kernels take matrices of this shape on this device.
pub(crate) fn wgmma_takes(d: &Device, outs: usize, cols: usize) -> bool {
    d.info().capability == (9, 0)
        && outs.is_multiple_of(64)
        && cols.is_multiple_of(64)
        && WGMMA_SHARED as usize <= d.max_shared()
}

/// Starts one of the wgmma kernels: a block for each multiprocessor, which goes from tile to tile.
///
/// # Safety
/// As for [`Device::launch`]; and [`wgmma_takes`] the matrix.
pub(crate) unsafe fn launch_wgmma<A: Copy>(d: &Device, kernel: Kernel, args: &A) -> OpResult {
    let grid = (d.info().multiprocessors, 1);
    // SAFETY: the caller's promise; this is the shared memory that the kernels use.
    unsafe { d.launch_shared(kernel, grid, WGMMA_THREADS, WGMMA_SHARED, args) }
}
