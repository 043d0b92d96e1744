//! Launches `kernels/gather_rows.cu`.

use std::ops::Range;

use crate::cuda::buffer::{CudaBuf, check_count};
use crate::cuda::driver::{Device, Kernel};
use crate::cuda::step::Step;
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct GatherRowsArgs {
    x: u64,
    logit_rows: u64,
    out: u64,
    cols: u32,
    unused: u32,
}
const _: () =
    assert!(size_of::<GatherRowsArgs>() == 32 && std::mem::offset_of!(GatherRowsArgs, cols) == 24);

pub(crate) fn gather_rows(
    d: &Device,
    step: &Step,
    x: &CudaBuf,
    logit_rows: Range<usize>,
    out: &CudaBuf,
) -> OpResult {
    x.check_shape("gather_rows", step.rows, out.cols)?;
    out.check_shape("gather_rows", logit_rows.len(), x.cols)?;
    check_count(
        "gather_rows",
        "logit rows",
        logit_rows.end.min(step.logit_rows),
        logit_rows.end,
    )?;
    let args = GatherRowsArgs {
        x: x.memory.at(),
        logit_rows: step.logit_rows_from(logit_rows.start),
        out: out.memory.at(),
        cols: x.cols as u32,
        unused: 0,
    };
    // SAFETY: a block per logit row; they name rows of the step (`StepBatch`), which `x` holds.
    unsafe { d.launch(Kernel::GatherRows, (logit_rows.len() as u32, 1), 256, &args) }
}
