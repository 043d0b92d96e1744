//! Launches the kernels of `kernels/copy_rows.cu`.

use crate::cuda::buffer::{CudaBuf, check_count};
use crate::cuda::driver::{Device, Kernel};
use crate::cuda::step::Step;
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct CopyRowsArgs {
    from: u64,
    to: u64,
    seq_of_row: u64,
    seqs: u64,
    cols: u32,
    to_cols: u32,
    column: u32,
    unused: u32,
}
const _: () =
    assert!(size_of::<CopyRowsArgs>() == 48 && std::mem::offset_of!(CopyRowsArgs, cols) == 32);

/// The step's rows to the same rows of `to`, from `column` on.
pub(crate) fn copy_columns(
    d: &Device,
    rows: usize,
    from: &CudaBuf,
    to: &CudaBuf,
    column: usize,
) -> OpResult {
    from.check_shape("copy_columns", rows, from.cols)?;
    to.check_shape("copy_columns", rows, to.cols)?;
    let end = column + from.cols;
    check_count("copy_columns", "columns", end.min(to.cols), end)?;
    check_groups("copy_columns", &[from.cols, to.cols, column])?;
    let args = CopyRowsArgs {
        from: from.memory.at(),
        to: to.memory.at(),
        seq_of_row: 0,
        seqs: 0,
        cols: from.cols as u32,
        to_cols: to.cols as u32,
        column: column as u32,
        unused: 0,
    };
    // SAFETY: a block per row, which both have; the columns were checked; the kernel reads no metadata.
    unsafe { d.launch(Kernel::CopyColumns, (rows as u32, 1), 128, &args) }
}

/// Of `states`, the row of each row's slot.
pub(crate) fn gather_states(d: &Device, step: &Step, states: &CudaBuf, out: &CudaBuf) -> OpResult {
    states.check_shape("gather_states", step.places().seqs as usize, out.cols)?;
    out.check_shape("gather_states", step.rows, states.cols)?;
    check_groups("gather_states", &[states.cols])?;
    let args = CopyRowsArgs {
        from: states.memory.at(),
        to: out.memory.at(),
        seq_of_row: step.seq_of_row(),
        seqs: step.seqs_at(),
        cols: states.cols as u32,
        to_cols: out.cols as u32,
        column: 0,
        unused: 0,
    };
    // SAFETY: a block per row of `out`; slots are below the number of sequences (`StepBatch`), and so many rows `states` has.
    unsafe { d.launch(Kernel::GatherStates, (step.rows as u32, 1), 128, &args) }
}

fn check_groups(what: &str, cols: &[usize]) -> OpResult {
    let over: usize = cols.iter().map(|n| n % 8).sum();
    check_count(what, "columns beyond groups of 8", over, 0)
}
