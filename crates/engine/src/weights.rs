//! Checkpoints: where each tensor of the model lies in memory-mapped safetensors files.
//!
//! Owns the maps and checks types and shapes against the configuration; converts nothing. Loading only.

mod checkpoint;
mod names;
mod tensor;

pub use self::checkpoint::Checkpoint;
pub use self::names::{AttentionSources, ExpertSources, LayerSources, LinearSource, ModelSources};
pub use self::tensor::{DenseTensor, PackedTensor};
