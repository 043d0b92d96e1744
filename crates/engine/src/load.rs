//! What loading a model has in common on every device: what comes of it, and the limits of a step.

use crate::config::ModelConfig;
use crate::cuda::KernelUse;
use crate::executor::Executor;
use crate::load_error::LoadError;
use ossmark_protocol::TokenId;

/// What a run wants to know about its model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// Token ids are below this.
    pub vocab_size: u32,
    /// Longest sequence.
    pub max_context: u32,
    /// Tokens that end an answer; may be empty.
    pub stop_tokens: Vec<TokenId>,
    /// Layers.
    pub n_layers: u32,
    /// Bytes of the checkpoint's weight files.
    pub weight_bytes: u64,
    /// Bytes of one KV block.
    pub kv_bytes_per_block: u64,
    /// One line for people.
    pub description: String,
    /// What people should know besides: something works, but not as it might.
    pub warnings: Vec<String>,
    /// Which kernels compute, on a GPU.
    pub kernels: Option<KernelUse>,
}

/// A model that is ready to run.
pub struct LoadedModel {
    /// Runs its steps.
    pub executor: Box<dyn Executor>,
    /// About it.
    pub info: ModelInfo,
}

/// How a model of random weights calls itself, wherever it is named.
pub(crate) const SYNTHETIC_NAME: &str = "SYNTHETIC random weights in gpt-oss's shape";

/// Refuses settings of a step that no device takes.
pub(crate) fn check_limits(
    block_size: u32,
    max_step_tokens: u32,
    max_seqs: u32,
) -> Result<(), LoadError> {
    for (name, value, max) in [
        ("block_size", block_size, 1024),
        ("max_step_tokens", max_step_tokens, 1 << 16),
        ("max_seqs", max_seqs, 1 << 16),
    ] {
        if !(1..=max).contains(&value) {
            return Err(LoadError::Settings(format!(
                "{name} is {value}, expected 1 to {max}"
            )));
        }
    }
    Ok(())
}

/// KV blocks that `max_seqs` sequences of full length need; more would never be used. `has_full`: some are for all positions.
pub(crate) fn useful_blocks(
    config: &ModelConfig,
    block_size: u32,
    max_step_tokens: u32,
    max_seqs: u32,
    has_full: bool,
) -> u64 {
    let longest = config.max_context as u64;
    let each = sequence_blocks(config, block_size, max_step_tokens, longest, has_full);
    each * u64::from(max_seqs)
}

/// KV blocks that a sequence of so many positions takes at most, computed in chunks of `max_step_tokens`.
pub(crate) fn sequence_blocks(
    config: &ModelConfig,
    block_size: u32,
    max_step_tokens: u32,
    positions: u64,
    has_full: bool,
) -> u64 {
    let blocks_of = |positions: u64| positions.div_ceil(u64::from(block_size));
    let all = blocks_of(positions.min(config.max_context as u64));
    let full = if has_full { all } else { 0 };
    // A chunk may begin and end inside blocks.
    let window = config.window.map_or(0, |w| {
        all.min(blocks_of(w as u64 + u64::from(max_step_tokens)) + 1)
    });
    full + window
}
