//! Launches `kernels/experts_up_thin.cu`.

use super::args::checked_up;
use super::routing::CudaRouting;
use super::tiles::THIN_ROWS;
use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::device::Device;
use crate::cuda::kernels::Kernel;
use crate::cuda::weights::CudaExperts;
use crate::ops::Done;

pub(crate) fn experts_up_thin(
    d: &Device,
    rows: usize,
    x: &CudaBuf,
    w: &CudaExperts,
    limit: f32,
    routing: &CudaRouting,
) -> Done {
    let args = checked_up(rows, x, w, limit, routing)?;
    let grid = (
        (w.up.outs / THIN_ROWS) as u32,
        routing.most_tiles(rows) as u32,
    );
    // SAFETY: as for `experts_up`; `tiles::thin_takes` is the caller's condition; tiles have at most 16 places.
    unsafe { d.launch(Kernel::ExpertsUpThin, grid, 256, &args) }
}
