//! Launches `kernels/experts_down_thin.cu`.

use super::args::checked_down;
use super::routing::CudaRouting;
use super::tiles::THIN_ROWS;
use crate::cuda::driver::device::Device;
use crate::cuda::kernels::Kernel;
use crate::cuda::weights::CudaExperts;
use crate::ops::Done;

pub(crate) fn experts_down_thin(
    d: &Device,
    rows: usize,
    w: &CudaExperts,
    routing: &CudaRouting,
) -> Done {
    let args = checked_down(rows, w, routing)?;
    let grid = (
        (w.down.outs / THIN_ROWS) as u32,
        routing.most_tiles(rows) as u32,
    );
    // SAFETY: as for `experts_down`; `tiles::thin_takes` is the caller's condition; tiles have at most 16 places.
    unsafe { d.launch(Kernel::ExpertsDownThin, grid, 256, &args) }
}
