//! Launches `kernels/experts_down_wide.cu`.

use super::device::{Device, Kernel};
use super::experts_down::checked;
use super::experts_up_wide::launch;
use super::route::CudaRouting;
use super::weights::CudaExperts;
use crate::ops::Done;

pub(super) fn experts_down_wide(
    d: &Device,
    rows: usize,
    w: &CudaExperts,
    routing: &CudaRouting,
) -> Done {
    launch(d, Kernel::ExpertsDownWide, &checked(rows, w, routing)?)
}
