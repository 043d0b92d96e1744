//! Launches `kernels/moe_gate_up_reference.cu`.

use super::args::checked_gate_up;
use super::routing::CudaRouting;
use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::device::Device;
use crate::cuda::kernels::Kernel;
use crate::cuda::weights::CudaExperts;
use crate::ops::OpResult;

pub(crate) fn moe_gate_up_reference(
    d: &Device,
    rows: usize,
    x: &CudaBuf,
    w: &CudaExperts,
    limit: f32,
    routing: &CudaRouting,
) -> OpResult {
    let args = checked_gate_up(rows, x, w, limit, routing)?;
    // SAFETY: `checked_gate_up` has seen all operands; tiles name experts and sorted rows that `moe_align` wrote in this step, and
    // blocks beyond the last tile do nothing.
    unsafe {
        d.launch(
            Kernel::MoeGateUpReference,
            (args.outs.div_ceil(32), routing.max_tiles(rows) as u32),
            256,
            &args,
        )
    }
}
