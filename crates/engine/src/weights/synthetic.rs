//! Random weights of gpt-oss-120b's shape, for measuring speed and memory where the checkpoint is not at hand.

use std::ops::Range;
use std::sync::Arc;

use memmap2::{Mmap, MmapMut};

use super::names::{AttentionSources, ExpertSources, LayerSources, LinearSource, ModelSources};
use super::random::{Random, block_byte, mixed, scale_byte};
use super::tensor::{DenseTensor, PackedTensor, Stored};
use crate::config::{LayerKind, ModelConfig};
use crate::load_error::LoadError;
use crate::rope::Yarn;

/// Which random weights are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Synthetic {
    /// Other seeds, other numbers.
    pub seed: u32,
    /// Spread of the router's biases: at 0, rows go to all experts about equally often; at 2, some experts get several
    /// times as many rows as others. The router's products spread by about 1.
    pub router_skew: f32,
}

impl Synthetic {
    /// With near uniform routing.
    #[must_use]
    pub fn seeded(seed: u32) -> Self {
        Self {
            seed,
            router_skew: 0.0,
        }
    }
}

/// gpt-oss-120b's configuration (config.json of openai/gpt-oss-120b), without stop tokens: synthetic answers run to their
/// full length.
#[must_use]
pub fn gpt_oss_120b() -> ModelConfig {
    ModelConfig {
        vocab_size: 201_088,
        hidden: 2880,
        intermediate: 2880,
        layers: (0..36)
            .map(|i| {
                if i % 2 == 0 {
                    LayerKind::Window
                } else {
                    LayerKind::Full
                }
            })
            .collect(),
        experts: 128,
        top_k: 4,
        heads: 64,
        kv_heads: 8,
        head_dim: 64,
        window: Some(128),
        norm_eps: 1e-5,
        swiglu_limit: 7.0,
        rope_theta: 150_000.0,
        yarn: Some(Yarn {
            factor: 32.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_context: 4096.0,
            truncate: false,
            attention_factor: None,
        }),
        max_context: 131_072,
        stop_tokens: Vec::new(),
    }
}

/// Bytes of a checkpoint of this shape: bf16, and MXFP4 for the experts' matrices.
pub(crate) fn weight_bytes(c: &ModelConfig) -> u64 {
    let expert = 3 * c.intermediate * c.hidden * 17 / 32 + 2 * (2 * c.intermediate + c.hidden);
    let dense =
        c.qkv_dim() * (c.hidden + 1) + c.hidden * (c.q_dim() + 1) + c.experts * (c.hidden + 1);
    let layer = c.experts * expert + 2 * (dense + 2 * c.hidden + c.heads);
    (c.layers.len() * layer + 2 * (2 * c.vocab_size + 1) * c.hidden) as u64
}

/// Where the numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Nowhere: the device makes them.
    OnDevice,
    /// In host memory, in a checkpoint's formats.
    InMemory,
}

/// Makes the tensors of one model, each with a seed of its own.
pub(crate) struct Maker {
    nothing: Arc<Mmap>,
    made: Placement,
    seed: u32,
    tensors: u32,
}

fn memory(len: usize, fill: impl FnOnce(&mut [u8])) -> Result<Arc<Mmap>, LoadError> {
    let failed = |e| LoadError::Settings(format!("cannot get {len} bytes of memory: {e}"));
    // The system gives no empty maps.
    let mut map = MmapMut::map_anon(len.max(1)).map_err(failed)?;
    fill(&mut map[..len]);
    map.make_read_only().map(Arc::new).map_err(failed)
}

impl Maker {
    pub(crate) fn new(seed: u32, made: Placement) -> Result<Self, LoadError> {
        Ok(Self {
            nothing: memory(0, |_| ())?,
            made,
            seed,
            tensors: 0,
        })
    }

    fn random(&mut self, middle: f32, spread: f32) -> Random {
        self.tensors += 1;
        Random {
            seed: mixed(self.seed ^ mixed(self.tensors)),
            middle,
            spread,
        }
    }

    fn dense(
        &mut self,
        rows: usize,
        cols: usize,
        middle: f32,
        spread: f32,
    ) -> Result<DenseTensor, LoadError> {
        let random = self.random(middle, spread);
        let (map, stored) = match self.made {
            Placement::OnDevice => (Arc::clone(&self.nothing), Stored::Random(random)),
            Placement::InMemory => {
                let fill = |bytes: &mut [u8]| {
                    for (i, b) in bytes.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                        *b = half::bf16::from_f32(random.value(i as u64)).to_le_bytes();
                    }
                };
                (memory(rows * cols * 2, fill)?, Stored::Bf16)
            }
        };
        let bytes = match stored {
            Stored::Bf16 => 0..rows * cols * 2,
            _ => NOTHING,
        };
        Ok(DenseTensor {
            map,
            bytes,
            stored,
            rows,
            cols,
        })
    }

    /// Weights of an RMS norm.
    pub(crate) fn norm(&mut self, len: usize) -> Result<DenseTensor, LoadError> {
        self.dense(1, len, 1.0, 0.3)
    }

    pub(crate) fn linear(
        &mut self,
        rows: usize,
        cols: usize,
        bias: Option<f32>,
    ) -> Result<LinearSource, LoadError> {
        // Outputs about as large as a normed input.
        let weight = vec![self.dense(rows, cols, 0.0, 1.7 / (cols as f32).sqrt())?];
        let bias = bias.map(|spread| self.dense(1, rows, 0.0, spread));
        Ok(LinearSource {
            weight,
            bias: bias.transpose()?.into_iter().collect(),
        })
    }

    fn packed(&mut self, rows: usize, cols: usize) -> Result<PackedTensor, LoadError> {
        // FP4's values are about 3 large: with 2^-7 and 2^-8, outputs of 2880 columns are about as large as inputs.
        let random = self.random(119.0, 0.0);
        let groups = rows * cols / 32;
        let (blocks_map, scales_map, n) = match self.made {
            Placement::OnDevice => (Arc::clone(&self.nothing), Arc::clone(&self.nothing), 0),
            Placement::InMemory => {
                let blocks = |bytes: &mut [u8]| {
                    for (i, b) in bytes.iter_mut().enumerate() {
                        *b = block_byte(random.seed, i as u64);
                    }
                };
                let scales = |bytes: &mut [u8]| {
                    for (i, b) in bytes.iter_mut().enumerate() {
                        *b = scale_byte(random.seed, random.middle as u8, i as u64);
                    }
                };
                (
                    memory(groups * 16, blocks)?,
                    memory(groups, scales)?,
                    groups,
                )
            }
        };
        Ok(PackedTensor {
            blocks_map,
            blocks: 0..n * 16,
            scales_map,
            scales: 0..n,
            rows,
            cols,
            random: (self.made == Placement::OnDevice).then_some(random),
        })
    }
}

const NOTHING: Range<usize> = 0..0;

impl ModelSources {
    /// Random weights for a configuration. Those that are made on the device suit only devices that make them.
    ///
    /// # Errors
    /// The system gives no memory.
    pub fn synthetic(
        c: &ModelConfig,
        which: Synthetic,
        made: Placement,
    ) -> Result<Self, LoadError> {
        let mut m = Maker::new(which.seed, made)?;
        let embedding = LinearSource {
            weight: vec![m.dense(c.vocab_size, c.hidden, 0.0, 1.0)?],
            bias: Vec::new(),
        };
        let layers = (0..c.layers.len()).map(|_| {
            Ok(LayerSources {
                attention: AttentionSources {
                    norm: m.norm(c.hidden)?,
                    qkv: m.linear(c.qkv_dim(), c.hidden, Some(0.3))?,
                    sinks: m.dense(1, c.heads, 0.5, 1.0)?,
                    out: m.linear(c.hidden, c.q_dim(), Some(0.3))?,
                },
                norm: m.norm(c.hidden)?,
                router: m.linear(c.experts, c.hidden, Some(which.router_skew))?,
                experts: ExpertSources {
                    up: m.packed(c.experts * 2 * c.intermediate, c.hidden)?,
                    up_bias: m.dense(c.experts, 2 * c.intermediate, 0.0, 0.5)?,
                    down: m.packed(c.experts * c.hidden, c.intermediate)?,
                    down_bias: m.dense(c.experts, c.hidden, 0.0, 0.3)?,
                },
            })
        });
        let layers = layers.collect::<Result<_, LoadError>>()?;
        Ok(Self {
            embedding,
            layers,
            norm: m.norm(c.hidden)?,
            lm_head: m.linear(c.vocab_size, c.hidden, None)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_gpt_oss_120b() {
        // 65.25 GB, the size of the published checkpoint.
        let bytes = weight_bytes(&gpt_oss_120b());
        assert!((65.24e9..65.26e9).contains(&(bytes as f64)), "{bytes}");
    }
}
