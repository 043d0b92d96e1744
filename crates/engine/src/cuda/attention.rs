//! Launches `kernels/attention.cu`.

use super::attention_packed::PackedArgs;
use super::buffer::{CudaBuf, expect};
use super::device::{Device, Kernel};
use super::pool::{Pool, PoolArgs};
use super::step::Step;
use super::weights::CudaVector;
use crate::config::ModelConfig;
use crate::executor::ExecError;
use crate::ops::{Done, KvLayer};

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct AttentionArgs {
    pool: PoolArgs,
    qkv: u64,
    positions: u64,
    seq_of_row: u64,
    sinks: u64,
    out: u64,
    cols: u32,
    heads: u32,
    scale: f32,
    /// For the prefill kernel alone.
    rows: u32,
}
const _: () =
    assert!(size_of::<AttentionArgs>() == 112 && std::mem::offset_of!(AttentionArgs, cols) == 96);

impl AttentionArgs {
    pub(super) fn with_rows(self, rows: usize) -> Self {
        Self {
            rows: rows as u32,
            ..self
        }
    }

    /// The same for the packed kernel, which does each row in one block, of sequences with fewer than `below_rows`.
    pub(super) fn packed(self, below_rows: usize) -> PackedArgs {
        PackedArgs {
            pool: self.pool,
            qkv: self.qkv,
            positions: self.positions,
            seq_of_row: self.seq_of_row,
            sinks: self.sinks,
            out: self.out,
            partials: 0,
            split_at: 0,
            cols: self.cols,
            heads: self.heads,
            scale: self.scale,
            workers: 1,
            below_rows: u32::try_from(below_rows).unwrap_or(u32::MAX),
            unused: 0,
        }
    }
}

/// Elements of a head that a block's shared memory has room for.
pub(super) const MOST_HEAD_DIM: usize = 256;

/// What attention works on.
pub(super) struct Operands<'a> {
    pub(super) step: &'a Step,
    pub(super) config: &'a ModelConfig,
    pub(super) pool: &'a Pool,
    pub(super) layer: KvLayer,
    pub(super) qkv: &'a CudaBuf,
    pub(super) sinks: &'a CudaVector,
    pub(super) out: &'a CudaBuf,
}

impl Operands<'_> {
    /// The arguments, once the operands are known to fit.
    pub(super) fn checked(&self) -> Result<AttentionArgs, ExecError> {
        let (c, rows) = (self.config, self.step.rows);
        self.qkv.holds("attention", rows, c.qkv_dim())?;
        self.out.holds("attention", rows, c.q_dim())?;
        expect("attention", "sinks", self.sinks.len, c.heads)?;
        Ok(AttentionArgs {
            pool: self.pool.args(self.step, self.layer)?,
            qkv: self.qkv.memory.at(),
            positions: self.step.positions(),
            seq_of_row: self.step.seq_of_row(),
            sinks: self.sinks.memory.at(),
            out: self.out.memory.at(),
            cols: c.qkv_dim() as u32,
            heads: c.heads as u32,
            scale: 1.0 / (c.head_dim as f32).sqrt(),
            rows: 0,
        })
    }
}

pub(super) fn attention(d: &Device, operands: &Operands<'_>) -> Done {
    let args = operands.checked()?;
    // SAFETY: a block per head and row; `StepBatch` checked that each row's visible positions have blocks; head_dim is at
    // most `MOST_HEAD_DIM` (checked when the model was loaded).
    unsafe {
        d.launch(
            Kernel::Attention,
            (args.heads, operands.step.rows as u32),
            128,
            &args,
        )
    }
}
