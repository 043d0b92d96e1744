//! Launches the kernels of `kernels/attention_packed.cu`.

use super::attention::Operands;
use super::device::{Device, Kernel, Memory};
use super::pool::{Pool, PoolArgs};
use crate::config::{LayerKind, ModelConfig};
use crate::dtype::KvDtype;
use crate::load_error::LoadError;
use crate::ops::Done;

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct PackedArgs {
    pub(super) pool: PoolArgs,
    pub(super) qkv: u64,
    pub(super) positions: u64,
    pub(super) seq_of_row: u64,
    pub(super) sinks: u64,
    pub(super) out: u64,
    pub(super) partials: u64,
    pub(super) split_at: u64,
    pub(super) cols: u32,
    pub(super) heads: u32,
    pub(super) scale: f32,
    pub(super) workers: u32,
    pub(super) below_rows: u32,
    pub(super) unused: u32,
}
const _: () = assert!(
    size_of::<PackedArgs>() == 136
        && std::mem::offset_of!(PackedArgs, partials) == 96
        && std::mem::offset_of!(PackedArgs, cols) == 112
);

/// As the kernel has them.
const SPLIT: usize = 512;
const GROUP: usize = 8;
const DIM: usize = 64;
const PARTIAL_BYTES: usize = GROUP * (2 + DIM) * 4;
const ALONE: u32 = u32::MAX;

/// Splits that there is room for: one sequence of 131,072 positions, or 186 of 5,500.
const MOST_SPLITS: usize = 2048;

/// Positions of a tile, which is a block of the pool.
const TILE: usize = 16;
const THREADS: u32 = 256;

/// Blocks for each multiprocessor from which on a row's splits are left to one block: the device, which has room for two
/// on each, is full without them.
const ENOUGH_BLOCKS: usize = 4;

/// Whether the kernel takes this model's heads.
fn takes_heads(c: &ModelConfig) -> bool {
    c.head_dim == DIM && c.heads == GROUP * c.kv_heads
}

/// Whether the kernel takes this model's heads as they lie in this pool.
pub(super) fn takes(c: &ModelConfig, pool: &Pool) -> bool {
    takes_heads(c) && pool.block_size == TILE
}

/// Results of single splits.
pub(super) fn partials(d: &Device, c: &ModelConfig) -> Result<Memory, LoadError> {
    let bytes = if takes_heads(c) {
        MOST_SPLITS * c.kv_heads * PARTIAL_BYTES
    } else {
        0
    };
    d.memory("attention's partial results", bytes)
}

/// Writes where the splits of each row begin among the partial results; rows with a single split, and those for which
/// there is no room any more, are done by one block each.
pub(super) fn place_splits(positions: &[u32], into: &mut [u32]) {
    let mut next = 0;
    for (position, at) in positions.iter().zip(into) {
        let splits = *position as usize / SPLIT + 1;
        *at = ALONE;
        if splits > 1 && next + splits <= MOST_SPLITS {
            *at = next as u32;
            next += splits;
        }
    }
}

/// Blocks for each row and kv head. What the step's lengths ask for is in the step's metadata, so that this depends on
/// the number of rows alone.
fn workers(operands: &Operands<'_>, multiprocessors: u32) -> usize {
    // At most two splits are seen.
    if operands.layer.kind == LayerKind::Window {
        return 1;
    }
    let blocks = operands.step.rows * operands.pool.kv_heads;
    let enough = ENOUGH_BLOCKS * multiprocessors as usize;
    if blocks >= enough {
        return 1;
    }
    let most = operands.step.max_context.div_ceil(SPLIT);
    enough.div_ceil(blocks.max(1)).min(most).max(1)
}

/// For sequences with fewer than `below_rows` rows in this step.
pub(super) fn attention_packed(
    d: &Device,
    operands: &Operands<'_>,
    partials: &Memory,
    below_rows: usize,
) -> Done {
    let (rows, kv_heads) = (operands.step.rows, operands.pool.kv_heads);
    let kernel = match operands.pool.kv {
        KvDtype::AsActivations => Kernel::AttentionPacked,
        KvDtype::Fp8 => Kernel::AttentionPackedFp8,
    };
    let workers = workers(operands, d.info().multiprocessors);
    let mut args = operands.checked()?.packed(below_rows);
    if workers > 1 {
        args.partials = partials.at();
        args.split_at = operands.step.split_at();
        args.workers = workers as u32;
    }
    let grid = ((kv_heads * workers) as u32, rows as u32);
    // SAFETY: as for `attention`; the heads and blocks are those that `takes` names, which is the caller's condition; `place_splits`
    // gave each row that is split its own places below `MOST_SPLITS`, for which `partials` has room.
    unsafe { d.launch(kernel, grid, THREADS, &args) }?;
    if workers == 1 {
        return Ok(());
    }
    let grid = (kv_heads as u32, rows as u32);
    // SAFETY: it reads the splits that the launch before it wrote, which are those that each row sees.
    unsafe { d.launch(Kernel::AttentionCombine, grid, 128, &args) }
}
