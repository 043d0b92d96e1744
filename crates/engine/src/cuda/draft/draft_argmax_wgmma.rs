//! Launches `kernels/draft_argmax_wgmma.cu`.

use super::args::Argmax;
use crate::cuda::dense::linear_wgmma::{OUTS, ROWS, SHARED};
use crate::cuda::driver::Kernel;
use crate::ops::OpResult;

pub(crate) fn draft_argmax_wgmma(p: &Argmax<'_>) -> OpResult {
    let args = p.checked()?;
    let l = &args.linear;
    let grid = (l.rows.div_ceil(ROWS), l.outs.div_ceil(OUTS));
    let d = p.linear.device;
    // SAFETY: `checked` has seen all operands; `linear_wgmma::takes` is the caller's condition; the kernel stays below rows and
    // outputs.
    unsafe { d.launch_shared(Kernel::DraftArgmaxWgmma, grid, 256, SHARED, &args) }
}
