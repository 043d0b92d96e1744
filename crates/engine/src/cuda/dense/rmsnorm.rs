//! Launches the kernels of `kernels/rmsnorm.cu`.

use crate::cuda::buffer::{CudaBuf, check_count};
use crate::cuda::driver::{Device, Kernel};
use crate::cuda::weights::CudaVector;
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct RmsnormArgs {
    x: u64,
    delta: u64,
    weight: u64,
    out: u64,
    cols: u32,
    eps: f32,
}
const _: () =
    assert!(size_of::<RmsnormArgs>() == 40 && std::mem::offset_of!(RmsnormArgs, cols) == 32);

/// Columns that a block can keep: groups of eight elements, two of them a thread.
pub(crate) const MAX_COLS: usize = 1024 * 8 * 2;

/// Threads of a block for this many columns: a group each, where there are enough.
fn threads(cols: usize) -> u32 {
    cols.div_ceil(8).next_multiple_of(32).min(1024) as u32
}

/// Of `x`, or of `x` once `delta` is added to it.
pub(crate) fn rmsnorm(
    d: &Device,
    (x, delta): (&CudaBuf, Option<&CudaBuf>),
    weight: &CudaVector,
    rows: usize,
    eps: f32,
    out: &CudaBuf,
) -> OpResult {
    let kernel = match delta {
        None => Kernel::Rmsnorm,
        Some(delta) => {
            delta.check_shape("add_rmsnorm", rows, x.cols)?;
            Kernel::AddRmsnorm
        }
    };
    x.check_shape("rmsnorm", rows, x.cols)?;
    out.check_shape("rmsnorm", rows, x.cols)?;
    check_count("rmsnorm", "weights", weight.len, x.cols)?;
    let args = RmsnormArgs {
        x: x.memory.at(),
        delta: delta.map_or(0, |d| d.memory.at()),
        weight: weight.memory.at(),
        out: out.memory.at(),
        cols: x.cols as u32,
        eps,
    };
    // SAFETY: a block per row, large enough for its columns; all operands have these rows and columns.
    unsafe { d.launch(kernel, (rows as u32, 1), threads(x.cols), &args) }
}

pub(crate) fn add(d: &Device, x: &CudaBuf, delta: &CudaBuf, rows: usize) -> OpResult {
    x.check_shape("add", rows, x.cols)?;
    delta.check_shape("add", rows, x.cols)?;
    let args = RmsnormArgs {
        x: x.memory.at(),
        delta: delta.memory.at(),
        weight: 0,
        out: 0,
        cols: x.cols as u32,
        eps: 0.0,
    };
    // SAFETY: a block per row; both operands have these rows and columns, and `add` reads no other.
    unsafe { d.launch(Kernel::Add, (rows as u32, 1), 256, &args) }
}
