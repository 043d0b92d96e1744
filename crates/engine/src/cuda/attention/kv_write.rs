//! Launches `kernels/kv_write.cu`.

use super::args::Context;
use super::pool::PoolArgs;
use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::Kernel;
use crate::ops::{KvLayer, OpResult};

#[repr(C)]
#[derive(Clone, Copy)]
struct KvWriteArgs {
    pool: PoolArgs,
    qkv: u64,
    positions: u64,
    seq_of_row: u64,
    cols: u32,
    q_dim: u32,
}
const _: () =
    assert!(size_of::<KvWriteArgs>() == 88 && std::mem::offset_of!(KvWriteArgs, cols) == 80);

pub(crate) fn kv_write(c: &Context<'_>, qkv: &CudaBuf, layer: KvLayer) -> OpResult {
    let (step, config) = (c.step, c.config);
    qkv.check_shape("kv_write", step.rows, config.qkv_dim())?;
    let args = KvWriteArgs {
        pool: c.pool.args(step, layer)?,
        qkv: qkv.memory.at(),
        positions: step.positions(),
        seq_of_row: step.seq_of_row(),
        cols: qkv.cols as u32,
        q_dim: config.q_dim() as u32,
    };
    // SAFETY: a block per row; `StepBatch` checked that each row's position has a block below the pool's number.
    unsafe {
        c.device
            .launch(Kernel::KvWrite, (step.rows as u32, 1), 256, &args)
    }
}
