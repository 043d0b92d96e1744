//! Launches `kernels/rope_kv.cu`.

use super::args::Context;
use super::pool::PoolArgs;
use crate::config::ModelConfig;
use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::Kernel;
use crate::ops::{KvLayer, OpResult};

#[repr(C)]
#[derive(Clone, Copy)]
struct RopeKvArgs {
    pool: PoolArgs,
    qkv: u64,
    positions: u64,
    seq_of_row: u64,
    table: u64,
    cols: u32,
    heads: u32,
}
const _: () = assert!(
    size_of::<RopeKvArgs>() == 96
        && std::mem::offset_of!(RopeKvArgs, qkv) == 56
        && std::mem::offset_of!(RopeKvArgs, cols) == 88
);

/// Whether the kernel takes this model's heads: two pairs of a head are one word each.
pub(crate) fn takes(c: &ModelConfig) -> bool {
    c.head_dim.is_multiple_of(4)
}

pub(crate) fn rope_kv(c: &Context<'_>, qkv: &CudaBuf, layer: KvLayer) -> OpResult {
    let (step, config) = (c.step, c.config);
    qkv.check_shape("rope_kv", step.rows, config.qkv_dim())?;
    let args = RopeKvArgs {
        pool: c.pool.args(step, layer)?,
        qkv: qkv.memory.at(),
        positions: step.positions(),
        seq_of_row: step.seq_of_row(),
        table: c.rope_table.memory.at(),
        cols: qkv.cols as u32,
        heads: config.heads as u32,
    };
    let grid = (config.kv_heads as u32, step.rows as u32);
    // SAFETY: as for `rope` and `kv_write`: positions are below the table's length and have blocks below the pool's number.
    unsafe { c.device.launch(Kernel::RopeKv, grid, 128, &args) }
}
