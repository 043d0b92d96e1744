//! Launches `kernels/moe_gate_up_reference.cu`.

use super::args::GateUp;
use crate::cuda::driver::Kernel;
use crate::ops::OpResult;

pub(crate) fn moe_gate_up_reference(p: &GateUp<'_>) -> OpResult {
    let args = p.checked()?;
    let grid = (args.outs.div_ceil(32), p.routing.max_tiles(p.rows) as u32);
    // SAFETY: `checked` has seen all operands; tiles name experts and sorted rows that `moe_align` wrote in this step, and
    // blocks beyond the last tile do nothing.
    unsafe {
        p.device
            .launch(Kernel::MoeGateUpReference, grid, 256, &args)
    }
}
