//! Launches `kernels/experts_down_wide.cu`.

use super::args::checked_down;
use super::routing::CudaRouting;
use super::tiles::wide_shared;
use crate::cuda::driver::device::Device;
use crate::cuda::kernels::Kernel;
use crate::cuda::weights::CudaExperts;
use crate::ops::Done;

pub(crate) fn experts_down_wide(
    d: &Device,
    rows: usize,
    w: &CudaExperts,
    routing: &CudaRouting,
) -> Done {
    let args = checked_down(rows, w, routing)?;
    let (grid, shared) = (
        (d.info().multiprocessors, 1),
        wide_shared(w.down.cols) as u32,
    );
    // SAFETY: as for `experts_up_wide`.
    unsafe { d.launch_shared(Kernel::ExpertsDownWide, grid, 384, shared, &args) }
}
