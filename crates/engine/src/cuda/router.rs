//! Launches `kernels/router.cu`.

use super::buffer::CudaBuf;
use super::device::{Device, Kernel};
use super::linear::{self, LinearArgs};
use super::regime::Regime;
use super::route::{self, CudaRouting, RoutingArgs};
use super::step::Step;
use super::weights::CudaLinear;
use crate::ops::Done;

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

/// [`route::route`] with the product before it, where `linear_thin::takes` the matrix.
pub(super) fn router(
    d: &Device,
    step: &Step,
    x: &CudaBuf,
    w: &CudaLinear,
    logits: &CudaBuf,
    routing: &mut CudaRouting,
    regime: Regime,
) -> Done {
    let rows = step.rows;
    super::buffer::expect("router", "outputs", w.outs, routing.experts)?;
    routing.holds("router", rows)?;
    let args = RouterArgs {
        linear: linear::checked(x, w, rows, logits)?,
        routing: routing.args(),
        n_rows: step.n_rows(),
        ended: routing.ended.at(),
        top_k: routing.top_k as u32,
        unused: 0,
    };
    let grid = ((w.outs as u32).div_ceil(32), (rows as u32).div_ceil(16));
    // SAFETY: as for `linear_thin` and `route`; there is a counter for each 16 rows, and every launch leaves it at 0.
    unsafe { d.launch(Kernel::Router, grid, 256, &args) }?;
    route::schedule(d, step, logits, routing, regime)
}
