//! Launches `kernels/moe_down_mma.cu`.

use super::args::Down;
use super::tiles::launch_mma;
use crate::cuda::driver::Kernel;
use crate::ops::OpResult;

pub(crate) fn moe_down_mma(p: &Down<'_>) -> OpResult {
    let args = p.checked()?;
    let most = (p.w.down.outs, p.routing.max_tiles(p.rows));
    // SAFETY: as for `moe_down_reference`; `tiles::mma_takes` is the caller's condition; tiles have at most 16 rows.
    unsafe { launch_mma(p.device, Kernel::MoeDownMma, most, &args) }
}
