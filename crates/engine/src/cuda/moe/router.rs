//! Launches `kernels/router.cu`.

use super::routing::{CudaRouting, RoutingArgs};
use super::tiles::KernelVariant;
use super::topk_softmax::moe_align;
use crate::cuda::buffer::check_count;
use crate::cuda::dense::args::{Linear, LinearArgs};
use crate::cuda::driver::Kernel;
use crate::cuda::step::Step;
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

/// [`super::topk_softmax::topk_softmax`] with the product before it, where `linear_mma::takes` the matrix; one launch for up to
/// 16 rows.
pub(crate) fn router(
    step: &Step,
    p: &Linear<'_>,
    routing: &mut CudaRouting,
    variant: KernelVariant,
) -> OpResult {
    check_count("router", "outputs", p.w.outs, routing.experts)?;
    routing.check_shape("router", p.rows)?;
    let linear = p.checked()?;
    let grid = (linear.outs.div_ceil(32), linear.rows.div_ceil(16));
    let args = RouterArgs {
        linear,
        routing: routing.args(),
        n_rows: step.n_rows(),
        ended: routing.ended.at(),
        top_k: routing.top_k as u32,
        unused: 0,
    };
    // SAFETY: as for `linear_mma` and `topk_softmax`; there is a counter for each 16 rows, and every launch leaves it at 0.
    unsafe { p.device.launch(Kernel::Router, grid, 256, &args) }?;
    if grid.1 == 1 {
        // The kernel has done what `moe_align` does: a tile of any variant has room for all rows of an expert.
        routing.variant = variant;
        return Ok(());
    }
    moe_align(p.device, step, p.out, routing, variant)
}
