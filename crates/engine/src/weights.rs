//! Checkpoints: where each tensor of the model lies in memory-mapped safetensors files.
//!
//! Owns the maps and checks types and shapes against the configuration; converts nothing. Loading only.

mod checkpoint;
mod header;
mod names;
mod random;
mod synthetic;
mod tensor;

pub use self::checkpoint::Checkpoint;
pub use self::names::{AttentionSources, ExpertSources, LayerSources, LinearSource, ModelSources};
pub(crate) use self::random::{Random, mixed};
pub use self::random::{block_byte, scale_byte};
pub(crate) use self::synthetic::{Maker, weight_bytes};
pub use self::synthetic::{Placement, Synthetic, gpt_oss_120b};
pub(crate) use self::tensor::Stored;
pub use self::tensor::{DenseTensor, PackedTensor};
