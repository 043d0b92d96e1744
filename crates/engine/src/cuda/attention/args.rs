//! What attention works on, and the arguments that its kernels share.

use super::pool::{Pool, PoolArgs};
use crate::config::ModelConfig;
use crate::cuda::buffer::{CudaBuf, check_count};
use crate::cuda::driver::Device;
use crate::cuda::step::Step;
use crate::cuda::weights::CudaVector;
use crate::executor::ExecError;
use crate::ops::KvLayer;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct AttentionArgs {
    pub(super) pool: PoolArgs,
    pub(super) qkv: u64,
    pub(super) positions: u64,
    pub(super) seq_of_row: u64,
    pub(super) sinks: u64,
    pub(super) out: u64,
    pub(super) cols: u32,
    pub(super) heads: u32,
    pub(super) scale: f32,
    rows: u32,
}
const _: () =
    assert!(size_of::<AttentionArgs>() == 112 && std::mem::offset_of!(AttentionArgs, cols) == 96);

/// What the kernels that know the KV pool work with in a step.
pub(crate) struct Context<'a> {
    pub(crate) device: &'a Device,
    pub(crate) step: &'a Step,
    pub(crate) config: &'a ModelConfig,
    pub(crate) pool: &'a Pool,
    pub(crate) rope_table: &'a CudaVector,
}

/// What attention works on.
pub(crate) struct Operands<'a> {
    pub(crate) context: Context<'a>,
    pub(crate) layer: KvLayer,
    pub(crate) qkv: &'a CudaBuf,
    pub(crate) sinks: &'a CudaVector,
    pub(crate) out: &'a CudaBuf,
}

impl Operands<'_> {
    /// The arguments, once the operands are known to fit.
    pub(crate) fn checked(&self) -> Result<AttentionArgs, ExecError> {
        let (c, step) = (self.context.config, self.context.step);
        self.qkv.check_shape("attention", step.rows, c.qkv_dim())?;
        self.out.check_shape("attention", step.rows, c.q_dim())?;
        check_count("attention", "sinks", self.sinks.len, c.heads)?;
        Ok(AttentionArgs {
            pool: self.context.pool.args(step, self.layer)?,
            qkv: self.qkv.memory.at(),
            positions: step.positions(),
            seq_of_row: step.seq_of_row(),
            sinks: self.sinks.memory.at(),
            out: self.out.memory.at(),
            cols: c.qkv_dim() as u32,
            heads: c.heads as u32,
            scale: 1.0 / (c.head_dim as f32).sqrt(),
            rows: step.rows as u32,
        })
    }
}
