//! Launches `kernels/moe_gate_up_mma.cu`.

use super::args::GateUp;
use super::tiles::launch_mma;
use crate::cuda::driver::Kernel;
use crate::ops::OpResult;

pub(crate) fn moe_gate_up_mma(p: &GateUp<'_>) -> OpResult {
    let args = p.checked()?;
    let most = (p.w.up.outs, p.routing.max_tiles(p.rows));
    // SAFETY: as for `moe_gate_up_reference`; `tiles::mma_takes` is the caller's condition; tiles have at most 16 rows.
    unsafe { launch_mma(p.device, Kernel::MoeGateUpMma, most, &args) }
}
