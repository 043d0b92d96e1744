//! Launches `kernels/linear_mma.cu`.

use super::args::checked;
use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::device::Device;
use crate::cuda::kernels::Kernel;
use crate::cuda::weights::CudaLinear;
use crate::ops::OpResult;

/// Whether the kernel takes this matrix: a lane loads 16 bytes of a quarter of 32 columns.
pub(crate) fn takes(w: &CudaLinear) -> bool {
    w.cols.is_multiple_of(32)
}

pub(crate) fn linear_mma(
    d: &Device,
    x: &CudaBuf,
    w: &CudaLinear,
    rows: usize,
    out: &CudaBuf,
) -> OpResult {
    let args = checked(x, w, rows, out)?;
    let grid = ((w.outs as u32).div_ceil(32), (rows as u32).div_ceil(16));
    // SAFETY: `checked` has seen all operands; `takes` is the caller's condition; the kernel stays below rows and outputs.
    unsafe { d.launch(Kernel::LinearMma, grid, 256, &args) }
}
