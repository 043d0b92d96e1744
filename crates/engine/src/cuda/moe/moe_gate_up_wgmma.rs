//! Launches `kernels/moe_gate_up_wgmma.cu`.

use super::args::checked_gate_up;
use super::routing::CudaRouting;
use super::tiles::wgmma_shared;
use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::device::Device;
use crate::cuda::kernels::Kernel;
use crate::cuda::weights::CudaExperts;
use crate::ops::OpResult;

pub(crate) fn moe_gate_up_wgmma(
    d: &Device,
    rows: usize,
    x: &CudaBuf,
    w: &CudaExperts,
    limit: f32,
    routing: &CudaRouting,
) -> OpResult {
    let args = checked_gate_up(rows, x, w, limit, routing)?;
    let (grid, shared) = (
        (d.info().multiprocessors, 1),
        wgmma_shared(w.up.cols) as u32,
    );
    // SAFETY: `checked_gate_up` has seen all operands; `tiles::wgmma_takes` is the caller's condition; tiles name experts and sorted rows
    // that `moe_align` wrote in this step, at most as many as the wgmma kernels take; a block for each multiprocessor goes from
    // tile to tile.
    unsafe { d.launch_shared(Kernel::MoeGateUpWgmma, grid, 384, shared, &args) }
}
