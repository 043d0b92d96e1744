//! Launches `kernels/router.cu`.

use super::routing::{CudaRouting, RoutingArgs};
use super::tiles::KernelVariant;
use super::topk_softmax::moe_align;
use crate::cuda::buffer::{CudaBuf, check_count};
use crate::cuda::dense::args::{LinearArgs, checked};
use crate::cuda::driver::device::Device;
use crate::cuda::kernels::Kernel;
use crate::cuda::step::Step;
use crate::cuda::weights::CudaLinear;
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct RouterArgs {
    linear: LinearArgs,
    routing: RoutingArgs,
    n_rows: u64,
    ended: u64,
    top_k: u32,
    unused: u32,
}
const _: () =
    assert!(size_of::<RouterArgs>() == 128 && std::mem::offset_of!(RouterArgs, n_rows) == 104);

/// [`super::topk_softmax::topk_softmax`] with the product before it, where `linear_mma::takes` the matrix.
pub(crate) fn router(
    d: &Device,
    step: &Step,
    x: &CudaBuf,
    w: &CudaLinear,
    logits: &CudaBuf,
    routing: &mut CudaRouting,
    variant: KernelVariant,
) -> OpResult {
    let rows = step.rows;
    check_count("router", "outputs", w.outs, routing.experts)?;
    routing.check_shape("router", rows)?;
    let args = RouterArgs {
        linear: checked(x, w, rows, logits)?,
        routing: routing.args(),
        n_rows: step.n_rows(),
        ended: routing.ended.at(),
        top_k: routing.top_k as u32,
        unused: 0,
    };
    let grid = ((w.outs as u32).div_ceil(32), (rows as u32).div_ceil(16));
    // SAFETY: as for `linear_mma` and `topk_softmax`; there is a counter for each 16 rows, and every launch leaves it at 0.
    unsafe { d.launch(Kernel::Router, grid, 256, &args) }?;
    moe_align(d, step, logits, routing, variant)
}
