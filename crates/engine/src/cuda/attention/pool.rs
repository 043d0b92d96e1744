//! The KV pool on the device. Mirrors `KvPool` of `kernels/include/step.h`.

use crate::config::{LayerKind, ModelConfig};
use crate::cuda::driver::{Device, Memory};
use crate::cuda::step::Step;
use crate::dtype::KvDtype;
use crate::executor::{Capacity, ExecError};
use crate::load_error::LoadError;
use crate::ops::KvLayer;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct PoolArgs {
    data: u64,
    blocks: u64,
    seqs: u64,
    layers: u32,
    layer: u32,
    block_size: u32,
    kv_heads: u32,
    head_dim: u32,
    window: u32,
    element_bytes: u32,
    unused: u32,
}
const _: () = assert!(
    size_of::<PoolArgs>() == 56
        && std::mem::offset_of!(PoolArgs, layers) == 24
        && std::mem::offset_of!(PoolArgs, element_bytes) == 48
);

/// Bytes of an element.
fn element_bytes(kv: KvDtype) -> usize {
    match kv {
        KvDtype::AsActivations => 2,
        KvDtype::Fp8 => 1,
    }
}

/// Bytes of one block.
pub(crate) fn block_bytes(config: &ModelConfig, block_size: usize, kv: KvDtype) -> usize {
    let elements = config.group_layers() * 2 * config.kv_heads * block_size * config.head_dim;
    elements * element_bytes(kv)
}

/// Keys and values, `[block][layer of the group][k, v][kv head][position in block][head_dim]` of bf16 or e4m3.
pub(crate) struct Pool {
    memory: Memory,
    layers: usize,
    pub(crate) block_size: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    window: usize,
    pub(crate) kv: KvDtype,
}

impl Pool {
    pub(crate) fn new(
        device: &Device,
        config: &ModelConfig,
        capacity: &Capacity,
        kv: KvDtype,
    ) -> Result<Self, LoadError> {
        let block_size = capacity.block_size as usize;
        let bytes = capacity.n_blocks as usize * block_bytes(config, block_size, kv);
        Ok(Self {
            memory: device.memory("keys and values", bytes)?,
            layers: config.group_layers(),
            block_size,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            window: config.window.unwrap_or(0),
            kv,
        })
    }

    /// Fills all of it with a byte. For measurements.
    pub(crate) fn fill(&self, device: &Device, byte: u8) -> crate::ops::OpResult {
        device.fill(&self.memory, byte)
    }

    /// What a kernel needs for this layer in this step.
    pub(crate) fn args(&self, step: &Step, layer: KvLayer) -> Result<PoolArgs, ExecError> {
        if layer.index >= self.layers {
            return Err(ExecError(format!(
                "layer {} of {} in the KV pool",
                layer.index, self.layers
            )));
        }
        Ok(PoolArgs {
            data: self.memory.at(),
            blocks: step.blocks(),
            seqs: step.seqs_at(),
            layers: self.layers as u32,
            layer: layer.index as u32,
            block_size: self.block_size as u32,
            kv_heads: self.kv_heads as u32,
            head_dim: self.head_dim as u32,
            window: if layer.kind == LayerKind::Window {
                self.window as u32
            } else {
                0
            },
            element_bytes: element_bytes(self.kv) as u32,
            unused: 0,
        })
    }
}
