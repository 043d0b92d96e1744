//! Launches the kernels of `kernels/moe_down_reference.cu`.

use super::args::Down;
use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::Kernel;
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct MoeCombineArgs {
    y: u64,
    weights: u64,
    out: u64,
    cols: u32,
    top_k: u32,
}
const _: () =
    assert!(size_of::<MoeCombineArgs>() == 32 && std::mem::offset_of!(MoeCombineArgs, cols) == 24);

pub(crate) fn moe_down_reference(p: &Down<'_>) -> OpResult {
    let args = p.checked()?;
    let grid = (args.outs.div_ceil(32), p.routing.max_tiles(p.rows) as u32);
    // SAFETY: as in `moe_gate_up_reference`; it reads the sorted rows that that kernel wrote.
    unsafe { p.device.launch(Kernel::MoeDownReference, grid, 256, &args) }
}

/// The weighted sum over a row's experts.
pub(crate) fn moe_combine(p: &Down<'_>, out: &CudaBuf) -> OpResult {
    let (rows, routing) = (p.rows, p.routing);
    out.check_shape("moe_down", rows, routing.hidden)?;
    let args = MoeCombineArgs {
        y: routing.y.at(),
        weights: routing.weights.at(),
        out: out.memory.at(),
        cols: routing.hidden as u32,
        top_k: routing.top_k as u32,
    };
    // SAFETY: a block per row; all assignments of the step's rows were written by the product.
    unsafe {
        p.device
            .launch(Kernel::MoeCombine, (rows as u32, 1), 256, &args)
    }
}
