//! Launches `kernels/sample.cu`.

use std::ops::Range;

use crate::cuda::buffer::{CudaBuf, check_count};
use crate::cuda::driver::{Device, Kernel};
use crate::cuda::step::Step;
use crate::ops::{BAD_LOGITS, OpResult, SAMPLE_BLOCK};

#[repr(C)]
#[derive(Clone, Copy)]
struct SampleArgs {
    logits: u64,
    logit_rows: u64,
    last_token: u64,
    tokens: u64,
    vocab: u32,
    unused: u32,
}
const _: () =
    assert!(size_of::<SampleArgs>() == 40 && std::mem::offset_of!(SampleArgs, vocab) == 32);
// As the kernel has them.
const _: () = assert!(SAMPLE_BLOCK == 1024 && BAD_LOGITS == u32::MAX);

/// A thread sums a block of ids.
pub(crate) const MAX_VOCAB: usize = 1024 * SAMPLE_BLOCK;

pub(crate) fn sample(
    d: &Device,
    step: &Step,
    logits: &CudaBuf,
    logit_rows: Range<usize>,
) -> OpResult {
    logits.check_shape("sample", logit_rows.len(), logits.cols)?;
    check_count(
        "sample",
        "logit rows",
        logit_rows.end.min(step.logit_rows),
        logit_rows.end,
    )?;
    let args = SampleArgs {
        logits: logits.memory.at(),
        logit_rows: step.logit_rows_from(logit_rows.start),
        last_token: step.token_places(),
        tokens: step.sampled(),
        vocab: logits.cols as u32,
        unused: 0,
    };
    // SAFETY: a block per logit row, which `logits` holds; a sequence has one logit row that asks for a token, and one for each
    // drafted token (`StepBatch`), for which `TokenPlaces` and the step's tokens have room.
    unsafe { d.launch(Kernel::Sample, (logit_rows.len() as u32, 1), 1024, &args) }
}
