//! Launches `kernels/experts_up_wide.cu`.

use super::args::checked_up;
use super::routing::CudaRouting;
use super::tiles::wide_shared;
use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::device::Device;
use crate::cuda::kernels::Kernel;
use crate::cuda::weights::CudaExperts;
use crate::ops::Done;

pub(crate) fn experts_up_wide(
    d: &Device,
    rows: usize,
    x: &CudaBuf,
    w: &CudaExperts,
    limit: f32,
    routing: &CudaRouting,
) -> Done {
    let args = checked_up(rows, x, w, limit, routing)?;
    let (grid, shared) = ((d.info().multiprocessors, 1), wide_shared(w.up.cols) as u32);
    // SAFETY: `checked_up` has seen all operands; `tiles::wide_takes` is the caller's condition; tiles name experts and places
    // that `schedule` wrote in this step, at most as many as the wide kernels take; a block for each multiprocessor goes from
    // tile to tile.
    unsafe { d.launch_shared(Kernel::ExpertsUpWide, grid, 384, shared, &args) }
}
