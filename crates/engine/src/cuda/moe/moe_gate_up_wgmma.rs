//! Launches `kernels/moe_gate_up_wgmma.cu`.

use super::args::GateUp;
use super::tiles::launch_wgmma;
use crate::cuda::driver::Kernel;
use crate::ops::OpResult;

pub(crate) fn moe_gate_up_wgmma(p: &GateUp<'_>) -> OpResult {
    let args = p.checked()?;
    // SAFETY: `checked` has seen all operands; `tiles::wgmma_takes` is the caller's condition; tiles name experts and sorted
    // rows that `moe_align` wrote in this step, at most as many as the wgmma kernels take.
    unsafe { launch_wgmma(p.device, Kernel::MoeGateUpWgmma, &args) }
}
