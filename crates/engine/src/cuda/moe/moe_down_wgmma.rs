//! Launches `kernels/moe_down_wgmma.cu`.

use super::args::checked_down;
use super::routing::CudaRouting;
use super::tiles::wgmma_shared;
use crate::cuda::driver::device::Device;
use crate::cuda::kernels::Kernel;
use crate::cuda::weights::CudaExperts;
use crate::ops::OpResult;

pub(crate) fn moe_down_wgmma(
    d: &Device,
    rows: usize,
    w: &CudaExperts,
    routing: &CudaRouting,
) -> OpResult {
    let args = checked_down(rows, w, routing)?;
    let (grid, shared) = (
        (d.info().multiprocessors, 1),
        wgmma_shared(w.down.cols) as u32,
    );
    // SAFETY: as for `moe_gate_up_wgmma`.
    unsafe { d.launch_shared(Kernel::MoeDownWgmma, grid, 384, shared, &args) }
}
