//! Launches `kernels/silu_mul.cu`.

use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::{Device, Kernel};
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct SiluMulArgs {
    gate_up: u64,
    out: u64,
    cols: u32,
    unused: u32,
}
const _: () =
    assert!(size_of::<SiluMulArgs>() == 24 && std::mem::offset_of!(SiluMulArgs, cols) == 16);

/// Columns of a block (`SILU_COLS`).
const COLS: u32 = 1024;

pub(crate) fn silu_mul(d: &Device, gate_up: &CudaBuf, rows: usize, out: &CudaBuf) -> OpResult {
    gate_up.check_shape("silu_mul", rows, 2 * out.cols)?;
    out.check_shape("silu_mul", rows, out.cols)?;
    let args = SiluMulArgs {
        gate_up: gate_up.memory.at(),
        out: out.memory.at(),
        cols: out.cols as u32,
        unused: 0,
    };
    let grid = (args.cols.div_ceil(COLS), rows as u32);
    // SAFETY: a block per row and part of its columns, which both operands have.
    unsafe { d.launch(Kernel::SiluMul, grid, 256, &args) }
}
