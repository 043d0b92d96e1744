//! Launches `kernels/moe_down_mma.cu`.

use super::args::Down;
use super::tiles::MMA_OUTS;
use crate::cuda::driver::Kernel;
use crate::ops::OpResult;

pub(crate) fn moe_down_mma(p: &Down<'_>) -> OpResult {
    let args = p.checked()?;
    let blocks = p.w.down.outs / MMA_OUTS;
    let grid = (blocks as u32, p.routing.max_tiles(p.rows) as u32);
    // SAFETY: as for `moe_down_reference`; `tiles::mma_takes` is the caller's condition; tiles have at most 16 rows.
    unsafe { p.device.launch(Kernel::MoeDownMma, grid, 256, &args) }
}
