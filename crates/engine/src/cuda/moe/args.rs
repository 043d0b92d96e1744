//! Arguments of the experts' products. Mirrors `kernels/include/moe.h`.

use super::routing::{CudaRouting, RoutingArgs};
use crate::cuda::buffer::{CudaBuf, check_count};
use crate::cuda::weights::{CudaExperts, CudaMatrices};
use crate::executor::ExecError;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct MoeArgs {
    routing: RoutingArgs,
    x: u64,
    blocks: u64,
    scales: u64,
    bias: u64,
    pub(super) outs: u32,
    cols: u32,
    top_k: u32,
    limit: f32,
}
const _: () = assert!(
    size_of::<MoeArgs>() == 104
        && std::mem::offset_of!(MoeArgs, x) == 56
        && std::mem::offset_of!(MoeArgs, outs) == 88
);

/// The arguments of either product.
fn args(routing: &CudaRouting, x: u64, m: &CudaMatrices, limit: f32) -> MoeArgs {
    MoeArgs {
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

/// The arguments of the first product, once the operands are known to fit.
pub(crate) fn checked_gate_up(
    rows: usize,
    x: &CudaBuf,
    w: &CudaExperts,
    limit: f32,
    routing: &CudaRouting,
) -> Result<MoeArgs, ExecError> {
    x.check_shape("moe_gate_up", rows, w.up.cols)?;
    routing.check_shape("moe_gate_up", rows)?;
    check_count("moe_gate_up", "experts", w.experts, routing.experts)?;
    check_count(
        "moe_gate_up",
        "rows of a matrix",
        w.up.outs,
        2 * routing.intermediate,
    )?;
    Ok(args(routing, x.memory.at(), &w.up, limit))
}

/// The arguments of the second product, once the operands are known to fit.
pub(crate) fn checked_down(
    rows: usize,
    w: &CudaExperts,
    routing: &CudaRouting,
) -> Result<MoeArgs, ExecError> {
    routing.check_shape("moe_down", rows)?;
    check_count(
        "moe_down",
        "columns of a matrix",
        w.down.cols,
        routing.intermediate,
    )?;
    check_count("moe_down", "rows of a matrix", w.down.outs, routing.hidden)?;
    Ok(args(routing, 0, &w.down, 0.0))
}
