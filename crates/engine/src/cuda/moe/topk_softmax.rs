//! Launches the kernels of `kernels/topk_softmax.cu`.

use super::routing::{CudaRouting, RoutingArgs};
use super::tiles::KernelVariant;
use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::{Device, Kernel};
use crate::cuda::step::Step;
use crate::executor::ExecError;
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct TopkArgs {
    routing: RoutingArgs,
    logits: u64,
    n_rows: u64,
    rows: u32,
    experts: u32,
    top_k: u32,
    tile: u32,
    unit: u32,
    unused: u32,
}
const _: () = assert!(size_of::<TopkArgs>() == 96 && std::mem::offset_of!(TopkArgs, rows) == 72);

/// Limits of the kernels: a thread for each expert, a lane for each choice.
pub(crate) const MAX_EXPERTS: usize = 1024;
pub(crate) const MAX_CHOICES: usize = 32;

/// What both kernels take.
fn checked(
    step: &Step,
    logits: &CudaBuf,
    routing: &mut CudaRouting,
    variant: KernelVariant,
) -> Result<TopkArgs, ExecError> {
    let rows = step.rows;
    logits.check_shape("route", rows, routing.experts)?;
    routing.check_shape("route", rows)?;
    routing.variant = variant;
    let (tile, unit) = variant.tile();
    Ok(TopkArgs {
        routing: routing.args(),
        logits: logits.memory.at(),
        n_rows: step.n_rows(),
        rows: rows as u32,
        experts: routing.experts as u32,
        top_k: routing.top_k as u32,
        tile: tile as u32,
        unit: unit as u32,
        unused: 0,
    })
}

pub(crate) fn topk_softmax(
    d: &Device,
    step: &Step,
    logits: &CudaBuf,
    routing: &mut CudaRouting,
    variant: KernelVariant,
) -> OpResult {
    let args = checked(step, logits, routing, variant)?;
    // SAFETY: a warp per row of `logits`; the routing has room for these rows; experts and choices are within the kernels'
    // limits (checked when the model was loaded).
    unsafe { d.launch(Kernel::TopkSoftmax, (args.rows.div_ceil(4), 1), 128, &args) }?;
    moe_align(d, step, logits, routing, variant)
}

/// Once the step's experts are chosen.
pub(crate) fn moe_align(
    d: &Device,
    step: &Step,
    logits: &CudaBuf,
    routing: &mut CudaRouting,
    variant: KernelVariant,
) -> OpResult {
    let args = checked(step, logits, routing, variant)?;
    // SAFETY: as for `topk_softmax`; the schedule reads what it or `router` wrote, and writes at most `max_tiles` tiles, whose
    // number only falls with their size.
    unsafe { d.launch(Kernel::MoeAlign, (1, 1), 1024, &args) }
}
