//! Launches `kernels/attention_reference.cu`.

use super::args::Operands;
use crate::cuda::driver::Kernel;
use crate::ops::OpResult;

/// Elements of a head that a block's shared memory has room for.
pub(crate) const MAX_HEAD_DIM: usize = 256;

pub(crate) fn attention_reference(operands: &Operands<'_>) -> OpResult {
    let (args, c) = (operands.checked()?, &operands.context);
    let grid = (args.heads, c.step.rows as u32);
    // SAFETY: a block per head and row; `StepBatch` checked that each row's visible positions have blocks; head_dim is at
    // most `MAX_HEAD_DIM` (checked when the model was loaded).
    unsafe {
        c.device
            .launch(Kernel::AttentionReference, grid, 128, &args)
    }
}
