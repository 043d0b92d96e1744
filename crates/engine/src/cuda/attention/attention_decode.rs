//! Launches the kernels of `kernels/attention_decode.cu`.

use super::args::{AttentionArgs, Operands};
use super::pool::{Pool, PoolArgs};
use super::splits::{MAX_SPLITS, workers};
use crate::config::{LayerKind, ModelConfig};
use crate::cuda::driver::{Device, Kernel, Memory};
use crate::dtype::KvDtype;
use crate::load_error::LoadError;
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct DecodeArgs {
    pool: PoolArgs,
    qkv: u64,
    positions: u64,
    seq_of_row: u64,
    sinks: u64,
    out: u64,
    partials: u64,
    split_at: u64,
    cols: u32,
    heads: u32,
    scale: f32,
    workers: u32,
    below_rows: u32,
    unused: u32,
}
const _: () = assert!(
    size_of::<DecodeArgs>() == 136
        && std::mem::offset_of!(DecodeArgs, partials) == 96
        && std::mem::offset_of!(DecodeArgs, cols) == 112
);

impl DecodeArgs {
    /// For sequences with fewer than `below_rows` rows, each row in one block.
    fn new(a: &AttentionArgs, below_rows: usize) -> Self {
        Self {
            pool: a.pool,
            qkv: a.qkv,
            positions: a.positions,
            seq_of_row: a.seq_of_row,
            sinks: a.sinks,
            out: a.out,
            partials: 0,
            split_at: 0,
            cols: a.cols,
            heads: a.heads,
            scale: a.scale,
            workers: 1,
            below_rows: u32::try_from(below_rows).unwrap_or(u32::MAX),
            unused: 0,
        }
    }
}

/// As the kernel has them.
const GROUP: usize = 8;
const DIM: usize = 64;
const PARTIAL_BYTES: usize = GROUP * (2 + DIM) * 4;

/// Positions of a tile, which is a block of the pool.
const TILE: usize = 16;
const THREADS: u32 = 256;

/// Whether the kernel takes this model's heads.
fn takes_heads(c: &ModelConfig) -> bool {
    c.head_dim == DIM && c.heads == GROUP * c.kv_heads
}

/// Whether the kernel takes this model's heads as they lie in this pool.
pub(crate) fn takes(c: &ModelConfig, pool: &Pool) -> bool {
    takes_heads(c) && pool.block_size == TILE
}

/// Results of single splits.
pub(crate) fn partials(d: &Device, c: &ModelConfig) -> Result<Memory, LoadError> {
    let bytes = if takes_heads(c) {
        MAX_SPLITS * c.kv_heads * PARTIAL_BYTES
    } else {
        0
    };
    d.memory("attention's partial results", bytes)
}

/// For sequences with fewer than `below_rows` rows in this step.
pub(crate) fn attention_decode(
    operands: &Operands<'_>,
    partials: &Memory,
    below_rows: usize,
) -> OpResult {
    let c = &operands.context;
    // Of a long prompt behind them, no row has a block.
    let rows = c.step.rows_of_short(below_rows);
    let (d, kv_heads) = (c.device, c.pool.kv_heads);
    let kernel = match c.pool.kv {
        KvDtype::AsActivations => Kernel::AttentionDecode,
        KvDtype::Fp8 => Kernel::AttentionDecodeFp8,
    };
    let workers = match operands.layer.kind {
        // At most two splits are seen.
        LayerKind::Window => 1,
        LayerKind::Full => workers(
            rows * kv_heads,
            c.step.max_context,
            d.info().multiprocessors,
        ),
    };
    let mut args = DecodeArgs::new(&operands.checked()?, below_rows);
    if workers > 1 {
        args.partials = partials.at();
        args.split_at = c.step.split_at();
        args.workers = workers as u32;
    }
    let grid = ((kv_heads * workers) as u32, rows as u32);
    // SAFETY: as for `attention_reference`; the heads and blocks are those that `takes` names, which is the caller's
    // condition; `plan_kv_splits` gave each row that is split its own places below `MAX_SPLITS`, for which `partials` has
    // room.
    unsafe { d.launch(kernel, grid, THREADS, &args) }?;
    if workers == 1 {
        return Ok(());
    }
    let grid = (kv_heads as u32, rows as u32);
    // SAFETY: it reads the splits that the launch before it wrote, which are those that each row sees.
    unsafe { d.launch(Kernel::AttentionCombine, grid, 128, &args) }
}
