//! The model's dimensions, read from `config.json` in Hugging Face's or OpenAI's spelling, and its stop tokens.
//!
//! Owns no tensor. Every number is bounded here, so that nothing computed from a configuration can overflow; that the
//! tensors are really there in these shapes is checked by [`crate::weights`] before anything is sized by them.

mod raw;

use std::path::Path;

use self::raw::{Eos, Generation, Raw};
use crate::load_error::LoadError;
use crate::rope::Yarn;
use ossmark_protocol::TokenId;

/// Which positions the attention of a layer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// All positions up to its own.
    Full,
    /// Its own and the `window - 1` before it.
    Window,
}

/// The shape of a gpt-oss model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Rows of the embedding; token ids are below it.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width inside an expert.
    pub intermediate: usize,
    /// One entry per layer.
    pub layers: Vec<LayerKind>,
    /// Experts in a layer.
    pub experts: usize,
    /// Experts that each token visits.
    pub top_k: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Elements of a head, even.
    pub head_dim: usize,
    /// Positions that a window layer sees, its own included; `None` without window layers.
    pub window: Option<usize>,
    /// Epsilon of the RMS norms.
    pub norm_eps: f32,
    /// Bound on gate and up in the experts.
    pub swiglu_limit: f32,
    /// Base of the rotary embedding.
    pub rope_theta: f64,
    /// Context extension, if any.
    pub yarn: Option<Yarn>,
    /// Longest sequence.
    pub max_context: usize,
    /// Tokens that end an answer.
    pub stop_tokens: Vec<TokenId>,
}

impl ModelConfig {
    /// Width of the fused q, k and v.
    #[must_use]
    pub fn qkv_dim(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Width of all query heads.
    #[must_use]
    pub fn q_dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Layers of the larger layer group: both groups draw blocks from one pool.
    pub(crate) fn group_layers(&self) -> usize {
        let full = self.layers.iter().filter(|k| **k == LayerKind::Full);
        let full = full.count();
        full.max(self.layers.len() - full)
    }

    /// Reads `config.json` and, where there is one, `generation_config.json` in `dir`.
    ///
    /// # Errors
    /// An unreadable file, bad JSON, or a value that this engine does not compute.
    pub fn load(dir: &Path) -> Result<Self, LoadError> {
        let path = dir.join("config.json");
        let raw: Raw = raw::parse(&path)?;
        let mut config = raw::check(&path, &raw)?;
        // An `original/` folder has none of its own; the release keeps it in the folder above.
        let above = dir.parent().filter(|_| dir.ends_with("original"));
        let places = [Some(dir), above]
            .into_iter()
            .flatten()
            .map(|d| d.join("generation_config.json"));
        let eos = match places.into_iter().find(|p| p.exists()) {
            Some(generation) => raw::parse::<Generation>(&generation)?.eos_token_id,
            None => None,
        };
        config.stop_tokens = match eos.or(raw.eos_token_id) {
            Some(Eos::One(id)) => vec![id],
            Some(Eos::Many(ids)) => ids,
            // `original/` names no stop token. The o200k_harmony vocabulary's are <|return|>, <|endoftext|> and
            // <|call|> (generation_config.json of openai/gpt-oss-120b).
            None if config.vocab_size == 201_088 => vec![200_002, 199_999, 200_012],
            None => Vec::new(),
        };
        if let Some(id) = config
            .stop_tokens
            .iter()
            .find(|id| **id as usize >= config.vocab_size)
        {
            return Err(LoadError::Unsupported {
                path,
                field: "eos_token_id".into(),
                found: id.to_string(),
                expected: format!("token ids below vocab_size {}", config.vocab_size),
            });
        }
        Ok(config)
    }
}
