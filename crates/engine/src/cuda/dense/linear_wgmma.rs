//! Launches `kernels/linear_wgmma.cu`.

use super::args::Linear;
use crate::cuda::driver::{Device, Kernel};
use crate::cuda::weights::CudaLinear;
use crate::ops::OpResult;

/// Rows and outputs of a block (`DENSE_ROWS`, `DENSE_OUTS`).
pub(crate) const ROWS: u32 = 256;
pub(crate) const OUTS: u32 = 160;
/// Bytes of shared memory: four stages of 64 columns of both.
pub(crate) const SHARED: u32 = 4 * (ROWS + OUTS) * 128;

/// Whether the kernel takes this matrix on this device.
pub(crate) fn takes(d: &Device, w: &CudaLinear) -> bool {
    d.info().capability == (9, 0)
        && w.cols.is_multiple_of(64)
        && w.outs.is_multiple_of(8)
        && SHARED as usize <= d.max_shared()
}

pub(crate) fn linear_wgmma(p: &Linear<'_>) -> OpResult {
    let args = p.checked()?;
    let grid = (args.outs.div_ceil(OUTS), args.rows.div_ceil(ROWS));
    // SAFETY: `checked` has seen all operands; `takes` is the caller's condition; the kernel stays below rows and outputs.
    unsafe {
        p.device
            .launch_shared(Kernel::LinearWgmma, grid, 256, SHARED, &args)
    }
}
