//! Checkpoints: where each tensor of the model lies in memory-mapped safetensors files.
//!
//! Owns the maps and checks types and shapes against the configuration; converts nothing. Loading only.

mod checkpoint;
mod header;
mod names;
mod synthetic;
mod tensor;

pub use self::checkpoint::Checkpoint;
pub use self::names::{AttentionSources, ExpertSources, LayerSources, LinearSource, ModelSources};
pub use self::synthetic::{Made, Synthetic, block_byte, gpt_oss_120b, scale_byte};
pub(crate) use self::synthetic::{Random, weight_bytes};
pub(crate) use self::tensor::Stored;
pub use self::tensor::{DenseTensor, PackedTensor};
