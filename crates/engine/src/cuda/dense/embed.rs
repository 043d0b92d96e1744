//! Launches `kernels/embed.cu`.

use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::{Device, Kernel};
use crate::cuda::step::Step;
use crate::cuda::weights::CudaLinear;
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct EmbedArgs {
    tokens: u64,
    last_token: u64,
    table: u64,
    out: u64,
    vocab: u32,
    cols: u32,
}
const _: () = assert!(size_of::<EmbedArgs>() == 40 && std::mem::offset_of!(EmbedArgs, vocab) == 32);

pub(crate) fn embed(d: &Device, step: &Step, table: &CudaLinear, out: &CudaBuf) -> OpResult {
    out.check_shape("embed", step.rows, table.cols)?;
    let args = EmbedArgs {
        tokens: step.tokens_at(),
        last_token: step.token_places(),
        table: table.weight.at(),
        out: out.memory.at(),
        vocab: table.outs as u32,
        cols: table.cols as u32,
    };
    // SAFETY: a block per row of `out`; the step's rows were checked; the kernel reads table rows below `vocab` and slots
    // that `StepBatch` checked.
    unsafe { d.launch(Kernel::Embed, (step.rows as u32, 1), 128, &args) }
}
