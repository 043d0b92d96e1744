//! Launches `kernels/accept_drafts.cu`.

use crate::cuda::buffer::{CudaBuf, check_count};
use crate::cuda::driver::{Device, Kernel};
use crate::cuda::step::Step;
use crate::executor::TokenPlaces;
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct AcceptArgs {
    seqs: u64,
    tokens: u64,
    x: u64,
    states: u64,
    cols: u32,
    max_seqs: u32,
    max_drafts: u32,
    unused: u32,
}
const _: () =
    assert!(size_of::<AcceptArgs>() == 48 && std::mem::offset_of!(AcceptArgs, cols) == 32);

pub(crate) fn accept_drafts(d: &Device, step: &Step, x: &CudaBuf, states: &CudaBuf) -> OpResult {
    let TokenPlaces { seqs, drafts } = step.places();
    x.check_shape("accept_drafts", step.rows, states.cols)?;
    states.check_shape("accept_drafts", seqs as usize, x.cols)?;
    check_count("accept_drafts", "columns beyond groups of 8", x.cols % 8, 0)?;
    let args = AcceptArgs {
        seqs: step.seqs_at(),
        tokens: step.token_places(),
        x: x.memory.at(),
        states: states.memory.at(),
        cols: x.cols as u32,
        max_seqs: seqs,
        max_drafts: drafts,
        unused: 0,
    };
    // SAFETY: a block per sequence of the pass, whose rows `x` has; slots and drafts are those that the places were made for
    // (`StepBatch`).
    unsafe { d.launch(Kernel::AcceptDrafts, (step.seqs as u32, 1), 128, &args) }
}
