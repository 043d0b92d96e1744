//! Arguments of the experts' products. Mirrors `kernels/include/moe.h`.

use super::routing::{CudaRouting, RoutingArgs};
use crate::cuda::buffer::{CudaBuf, check_count};
use crate::cuda::driver::Device;
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

/// What the experts' first product works on.
pub(crate) struct GateUp<'a> {
    pub(crate) device: &'a Device,
    pub(crate) rows: usize,
    pub(crate) x: &'a CudaBuf,
    pub(crate) w: &'a CudaExperts,
    pub(crate) limit: f32,
    pub(crate) routing: &'a CudaRouting,
}

impl GateUp<'_> {
    /// The arguments, once the operands are known to fit.
    pub(crate) fn checked(&self) -> Result<MoeArgs, ExecError> {
        let (op, w, routing) = ("moe_gate_up", self.w, self.routing);
        self.x.check_shape(op, self.rows, w.up.cols)?;
        routing.check_shape(op, self.rows)?;
        check_count(op, "experts", w.experts, routing.experts)?;
        check_count(op, "rows of a matrix", w.up.outs, 2 * routing.intermediate)?;
        Ok(args(routing, self.x.memory.at(), &w.up, self.limit))
    }
}

/// What the experts' second product works on.
pub(crate) struct Down<'a> {
    pub(crate) device: &'a Device,
    pub(crate) rows: usize,
    pub(crate) w: &'a CudaExperts,
    pub(crate) routing: &'a CudaRouting,
}

impl Down<'_> {
    /// The arguments, once the operands are known to fit.
    pub(crate) fn checked(&self) -> Result<MoeArgs, ExecError> {
        let (op, w, routing) = ("moe_down", &self.w.down, self.routing);
        routing.check_shape(op, self.rows)?;
        check_count(op, "columns of a matrix", w.cols, routing.intermediate)?;
        check_count(op, "rows of a matrix", w.outs, routing.hidden)?;
        Ok(args(routing, 0, w, 0.0))
    }
}
