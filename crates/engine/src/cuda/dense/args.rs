//! Arguments of the dense products. Mirrors `kernels/include/linear.h`.

use crate::cuda::buffer::{CudaBuf, check_count};
use crate::cuda::weights::CudaLinear;
use crate::executor::ExecError;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct LinearArgs {
    x: u64,
    weight: u64,
    bias: u64,
    out: u64,
    pub(super) rows: u32,
    cols: u32,
    pub(super) outs: u32,
    unused: u32,
}
const _: () =
    assert!(size_of::<LinearArgs>() == 48 && std::mem::offset_of!(LinearArgs, rows) == 32);

/// The arguments, once the operands are known to fit.
pub(crate) fn checked(
    x: &CudaBuf,
    w: &CudaLinear,
    rows: usize,
    out: &CudaBuf,
) -> Result<LinearArgs, ExecError> {
    x.check_shape("linear", rows, w.cols)?;
    out.check_shape("linear", rows, w.outs)?;
    if let Some(bias) = &w.bias {
        check_count("linear", "elements of a bias", bias.len, w.outs)?;
    }
    Ok(LinearArgs {
        x: x.memory.at(),
        weight: w.weight.at(),
        bias: w.bias.as_ref().map_or(0, |b| b.memory.at()),
        out: out.memory.at(),
        rows: rows as u32,
        cols: w.cols as u32,
        outs: w.outs as u32,
        unused: 0,
    })
}
