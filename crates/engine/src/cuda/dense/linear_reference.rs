//! Launches `kernels/linear_reference.cu`.

use super::args::Linear;
use crate::cuda::driver::Kernel;
use crate::ops::OpResult;

pub(crate) fn linear_reference(p: &Linear<'_>) -> OpResult {
    let args = p.checked()?;
    let grid = (args.outs.div_ceil(32), args.rows.div_ceil(16));
    // SAFETY: `checked` has seen all operands; the kernel stays below `rows`, `cols` and `outs`.
    unsafe { p.device.launch(Kernel::LinearReference, grid, 256, &args) }
}
