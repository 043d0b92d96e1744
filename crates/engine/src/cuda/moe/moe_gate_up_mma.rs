//! Launches `kernels/moe_gate_up_mma.cu`.

use super::args::checked_gate_up;
use super::routing::CudaRouting;
use super::tiles::MMA_OUTS;
use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::device::Device;
use crate::cuda::kernels::Kernel;
use crate::cuda::weights::CudaExperts;
use crate::ops::OpResult;

pub(crate) fn moe_gate_up_mma(
    d: &Device,
    rows: usize,
    x: &CudaBuf,
    w: &CudaExperts,
    limit: f32,
    routing: &CudaRouting,
) -> OpResult {
    let args = checked_gate_up(rows, x, w, limit, routing)?;
    let grid = (
        (w.up.outs / MMA_OUTS) as u32,
        routing.max_tiles(rows) as u32,
    );
    // SAFETY: as for `moe_gate_up`; `tiles::mma_takes` is the caller's condition; tiles have at most 16 rows.
    unsafe { d.launch(Kernel::MoeGateUpMma, grid, 256, &args) }
}
