//! Launches `kernels/linear_reference.cu`.

use super::args::checked;
use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::device::Device;
use crate::cuda::kernels::Kernel;
use crate::cuda::weights::CudaLinear;
use crate::ops::OpResult;

pub(crate) fn linear_reference(
    d: &Device,
    x: &CudaBuf,
    w: &CudaLinear,
    rows: usize,
    out: &CudaBuf,
) -> OpResult {
    let args = checked(x, w, rows, out)?;
    // SAFETY: `checked` has seen all operands; the kernel stays below `rows`, `cols` and `outs`.
    unsafe {
        d.launch(
            Kernel::LinearReference,
            (args.outs.div_ceil(32), args.rows.div_ceil(16)),
            256,
            &args,
        )
    }
}
