//! Launches `kernels/moe_down_wgmma.cu`.

use super::args::Down;
use super::tiles::launch_wgmma;
use crate::cuda::driver::Kernel;
use crate::ops::OpResult;

pub(crate) fn moe_down_wgmma(p: &Down<'_>) -> OpResult {
    let args = p.checked()?;
    // SAFETY: as for `moe_gate_up_wgmma`.
    unsafe { launch_wgmma(p.device, Kernel::MoeDownWgmma, &args) }
}
