//! Launches `kernels/linear_mma.cu`.

use super::args::Linear;
use crate::cuda::driver::Kernel;
use crate::cuda::weights::CudaLinear;
use crate::ops::OpResult;

/// Whether the kernel takes this matrix: a lane loads 16 bytes of a quarter of 32 columns.
pub(crate) fn takes(w: &CudaLinear) -> bool {
    w.cols.is_multiple_of(32)
}

pub(crate) fn linear_mma(p: &Linear<'_>) -> OpResult {
    let args = p.checked()?;
    let grid = (args.outs.div_ceil(32), args.rows.div_ceil(16));
    // SAFETY: `checked` has seen all operands; `takes` is the caller's condition; the kernel stays below rows and outputs.
    unsafe { p.device.launch(Kernel::LinearMma, grid, 256, &args) }
}
