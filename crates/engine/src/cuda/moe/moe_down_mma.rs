//! Launches `kernels/moe_down_mma.cu`.

use super::args::checked_down;
use super::routing::CudaRouting;
use super::tiles::MMA_OUTS;
use crate::cuda::driver::device::Device;
use crate::cuda::kernels::Kernel;
use crate::cuda::weights::CudaExperts;
use crate::ops::OpResult;

pub(crate) fn moe_down_mma(
    d: &Device,
    rows: usize,
    w: &CudaExperts,
    routing: &CudaRouting,
) -> OpResult {
    let args = checked_down(rows, w, routing)?;
    let grid = (
        (w.down.outs / MMA_OUTS) as u32,
        routing.max_tiles(rows) as u32,
    );
    // SAFETY: as for `moe_down`; `tiles::mma_takes` is the caller's condition; tiles have at most 16 rows.
    unsafe { d.launch(Kernel::MoeDownMma, grid, 256, &args) }
}
