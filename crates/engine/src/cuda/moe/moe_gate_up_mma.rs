//! Launches `kernels/moe_gate_up_mma.cu`.

use super::args::GateUp;
use super::tiles::MMA_OUTS;
use crate::cuda::driver::Kernel;
use crate::ops::OpResult;

pub(crate) fn moe_gate_up_mma(p: &GateUp<'_>) -> OpResult {
    let args = p.checked()?;
    let blocks = p.w.up.outs / MMA_OUTS;
    let grid = (blocks as u32, p.routing.max_tiles(p.rows) as u32);
    // SAFETY: as for `moe_gate_up_reference`; `tiles::mma_takes` is the caller's condition; tiles have at most 16 rows.
    unsafe { p.device.launch(Kernel::MoeGateUpMma, grid, 256, &args) }
}
