//! Launches `kernels/experts_up.cu`. Mirrors `kernels/include/experts.h`.

use super::buffer::{CudaBuf, expect};
use super::device::{Device, Kernel};
use super::route::{CudaRouting, RoutingArgs};
use super::weights::{CudaExperts, CudaMatrices};
use crate::executor::ExecError;
use crate::ops::Done;

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct ExpertsArgs {
    routing: RoutingArgs,
    x: u64,
    blocks: u64,
    scales: u64,
    bias: u64,
    outs: u32,
    cols: u32,
    top_k: u32,
    limit: f32,
}
const _: () = assert!(
    size_of::<ExpertsArgs>() == 104
        && std::mem::offset_of!(ExpertsArgs, x) == 56
        && std::mem::offset_of!(ExpertsArgs, outs) == 88
);

impl ExpertsArgs {
    /// Rows and columns of the matrix.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.outs as usize, self.cols as usize)
    }
}

/// The arguments of either product.
pub(super) fn args(routing: &CudaRouting, x: u64, m: &CudaMatrices, limit: f32) -> ExpertsArgs {
    ExpertsArgs {
        routing: routing.args(),
        x,
        blocks: m.blocks.at(),
        scales: m.scales.at(),
        bias: m.bias.at(),
        outs: m.outs as u32,
        cols: m.cols as u32,
        top_k: routing.top_k as u32,
        limit,
    }
}

/// The arguments, once the operands are known to fit.
pub(super) fn checked(
    rows: usize,
    x: &CudaBuf,
    w: &CudaExperts,
    limit: f32,
    routing: &CudaRouting,
) -> Result<ExpertsArgs, ExecError> {
    x.holds("experts_up", rows, w.up.cols)?;
    routing.holds("experts_up", rows)?;
    expect("experts_up", "experts", w.experts, routing.experts)?;
    expect(
        "experts_up",
        "rows of a matrix",
        w.up.outs,
        2 * routing.intermediate,
    )?;
    Ok(args(routing, x.memory.at(), &w.up, limit))
}

pub(super) fn experts_up(
    d: &Device,
    rows: usize,
    x: &CudaBuf,
    w: &CudaExperts,
    limit: f32,
    routing: &CudaRouting,
) -> Done {
    let args = checked(rows, x, w, limit, routing)?;
    // SAFETY: `checked` has seen all operands; tiles name experts and places that `schedule` wrote in this step, and
    // blocks beyond the last tile do nothing.
    unsafe {
        d.launch(
            Kernel::ExpertsUp,
            (args.outs.div_ceil(32), routing.most_tiles(rows) as u32),
            256,
            &args,
        )
    }
}
