//! Weights on the device: streamed from the checkpoint's maps through two pinned buffers, as stored. Loading only.

use std::sync::Arc;

use rayon::prelude::*;

use super::dense::synthetic::{Numbers, synthetic};
use super::driver::{Device, Event, Memory, Pinned, load_failed};
use super::moe::mxfp4_repack::{PackedShape, Shipped};
use crate::load_error::LoadError;
use crate::load_progress::LoadProgress;
use crate::weights::{DenseTensor, PackedTensor, Stored};

/// A vector, in f32.
pub struct CudaVector {
    pub(super) memory: Memory,
    pub(super) len: usize,
}

/// A matrix `[outs, cols]` in bf16 with an optional bias in f32.
pub struct CudaLinear {
    pub(super) weight: Memory,
    pub(super) bias: Option<CudaVector>,
    pub(super) outs: usize,
    pub(super) cols: usize,
}

/// One of the experts' two matrices, for all experts, in the kernels' order.
pub(super) struct CudaMatrices {
    pub(super) blocks: Memory,
    pub(super) scales: Memory,
    pub(super) bias: Memory,
    /// No scale above 2: what the mma kernels' decoding takes.
    pub(super) moderate_scales: bool,
    pub(super) outs: usize,
    pub(super) cols: usize,
}

/// A layer's experts.
pub struct CudaExperts {
    pub(super) up: CudaMatrices,
    pub(super) down: CudaMatrices,
    pub(super) experts: usize,
}

/// Bytes of one of the two buffers: some milliseconds of copying each, so that the overlap is what counts.
const CHUNK: usize = 16 << 20;

/// Bytes that one of the host's threads copies at a time.
const PIECE: usize = 1 << 20;

/// Copies host memory to the device.
pub(super) struct Uploader {
    buffers: [(Pinned, Event); 2],
    next: usize,
    pub(super) progress: Arc<LoadProgress>,
}

impl Uploader {
    pub(super) fn new(device: &Device) -> Result<Self, LoadError> {
        let buffer = || Ok::<_, LoadError>((device.pinned(CHUNK / 4)?, device.event()?));
        Ok(Self {
            buffers: [buffer()?, buffer()?],
            next: 0,
            progress: Arc::default(),
        })
    }

    /// Copies `bytes` to `to` + `offset`. The bytes may change once this returns.
    pub(super) fn copy(
        &mut self,
        device: &Device,
        bytes: &[u8],
        to: &Memory,
        offset: usize,
    ) -> Result<(), LoadError> {
        for (i, chunk) in bytes.chunks(CHUNK).enumerate() {
            let (pinned, event) = &mut self.buffers[self.next];
            self.next = 1 - self.next;
            // The copy before last, from this buffer; an event that was never recorded has passed.
            device.wait(event).map_err(load_failed)?;
            // A map is read from the disk where it is touched: one thread alone would wait for each piece in turn.
            pinned.bytes()[..chunk.len()]
                .par_chunks_mut(PIECE)
                .zip(chunk.par_chunks(PIECE))
                .for_each(|(to, from)| to.copy_from_slice(from));
            device
                .upload(pinned, chunk.len(), to, offset + i * CHUNK)
                .and_then(|()| device.record(event))
                .map_err(load_failed)?;
            self.progress.more(chunk.len() as u64);
        }
        Ok(())
    }

    pub(super) fn f32(&mut self, device: &Device, values: &[f32]) -> Result<CudaVector, LoadError> {
        let memory = device.memory("a vector of weights", values.len() * 4)?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.copy(device, &bytes, &memory, 0)?;
        Ok(CudaVector {
            memory,
            len: values.len(),
        })
    }

    /// Copies a tensor as bf16, which has to be exact.
    pub(super) fn bf16(
        &mut self,
        device: &Device,
        t: &DenseTensor,
        to: &Memory,
        offset: usize,
    ) -> Result<(), LoadError> {
        if let Stored::Random(random) = t.stored {
            return synthetic(
                device,
                Numbers::Bf16,
                random,
                to,
                offset,
                t.rows() * t.cols(),
            )
            .map_err(load_failed);
        }
        let (bytes, is_bf16) = t.bytes();
        if is_bf16 {
            return self.copy(device, bytes, to, offset);
        }
        let mut converted = Vec::with_capacity(t.rows() * t.cols() * 2);
        for v in t.to_vec() {
            let rounded = half::bf16::from_f32(v);
            if rounded.to_f32() != v {
                return Err(LoadError::Cuda(format!(
                    "a matrix of the checkpoint is stored in F32 and holds {v}, which is no bf16 number; the CUDA engine \
                     computes with bf16 weights: convert the checkpoint, or use --engine cpu (run, generate, infer, serve)"
                )));
            }
            converted.extend_from_slice(&rounded.to_le_bytes());
        }
        self.copy(device, &converted, to, offset)
    }

    /// Takes one of the experts' matrices, and brings its blocks into the kernels' order.
    pub(super) fn matrices(
        &mut self,
        d: &Device,
        packed: &PackedTensor,
        bias: &DenseTensor,
    ) -> Result<CudaMatrices, LoadError> {
        let shape = PackedShape {
            experts: packed.rows() / bias.cols().max(1),
            outs: bias.cols(),
            cols: packed.cols(),
        };
        let shipped = Shipped::new(d, shape)?;
        if let Some(random) = packed.random {
            let groups = shape.groups();
            synthetic(d, Numbers::Bytes, random, &shipped.blocks, 0, groups * 16)
                .and_then(|()| synthetic(d, Numbers::Scales, random, &shipped.scales, 0, groups))
                .map_err(load_failed)?;
        } else {
            self.copy(d, packed.blocks(), &shipped.blocks, 0)?;
            self.copy(d, packed.scales(), &shipped.scales, 0)?;
        }
        let (blocks, scales) = shipped.repack(d)?;
        let m = CudaMatrices {
            blocks,
            scales,
            bias: d.memory("the experts' biases", bias.rows() * bias.cols() * 2)?,
            // A scale's byte is its exponent plus 127.
            moderate_scales: packed.scales().par_iter().all(|s| *s <= 128),
            outs: bias.cols(),
            cols: packed.cols(),
        };
        self.bf16(d, bias, &m.bias, 0)?;
        Ok(m)
    }
}
