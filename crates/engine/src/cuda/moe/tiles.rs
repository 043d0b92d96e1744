//! The families of the experts' kernels: the tiles that they work on, and the matrices that they take.

use crate::cuda::driver::device::Device;
use crate::cuda::weights::CudaMatrices;

/// A family of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regime {
    /// Takes everything.
    Plain,
    /// Few rows: reads weights as fast as memory gives them, once for 16 rows.
    Thin,
    /// Many rows: Hopper's tensor cores.
    Wide,
}

/// Most places of a tile, but for the wide kernels'.
pub(crate) const TILE: usize = 16;

impl Regime {
    /// Most places of a tile, and what all but an expert's last are a multiple of.
    pub(crate) fn tile(self) -> (usize, usize) {
        match self {
            Self::Wide => (WIDE_PLACES, WIDE_UNIT),
            Self::Thin | Self::Plain => (TILE, TILE),
        }
    }
}

/// Rows of a matrix that a block of the thin kernels takes.
pub(crate) const THIN_ROWS: usize = 64;

/// Whether the thin kernels take these matrices.
pub(crate) fn thin_takes(m: &CudaMatrices) -> bool {
    m.outs.is_multiple_of(THIN_ROWS) && m.moderate_scales
}

/// Rows of a matrix that a block of the wide kernels takes (`WIDE_ROWS`).
const WIDE_ROWS: usize = 192;
/// Places of a tile (`WIDE_PLACES`), and widths of wgmma that are built.
const WIDE_PLACES: usize = 128;
const WIDE_UNIT: usize = 32;
/// Bytes of shared memory for the stages (`WIDE_STAGES` of `WIDE_STAGE`).
const WIDE_STAGES: usize = 8 * (WIDE_PLACES * 128 + 2 * WIDE_ROWS * 16);

/// Bytes of shared memory that a block of the wide kernels needs.
pub(crate) fn wide_shared(cols: usize) -> usize {
    WIDE_STAGES + WIDE_ROWS * (cols / 32)
}

/// Whether the wide kernels take matrices of this shape on this device.
pub(crate) fn wide_takes(d: &Device, outs: usize, cols: usize) -> bool {
    d.info().capability == (9, 0)
        && outs.is_multiple_of(64)
        && cols.is_multiple_of(64)
        && wide_shared(cols) <= d.most_shared()
}
