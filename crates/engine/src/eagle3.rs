//! EAGLE3: a draft head of one Llama layer that guesses the target's next tokens from the target's own hidden states.
//!
//! Owns the head's configuration, tensors and forward pass, and the executor that drafts, verifies and keeps what stands.
//! Knows no requests and no scheduler; the scheduler knows spans of tokens and no head. Facts and their sources: the layout is
//! that of nvidia/gpt-oss-120b-Eagle3-long-context as SGLang's and vLLM's `llama_eagle3.py` load it.

mod config;
mod head;
mod json;
mod loaded;
mod runner;
mod sources;

#[cfg(test)]
mod tests;

pub use self::config::{Features, HeadConfig};
pub(crate) use self::head::Head;
pub(crate) use self::loaded::LoadedHead;
pub(crate) use self::runner::SpeculativeRunner;
pub use self::sources::tensors_sha256;

use std::path::PathBuf;

/// Most tokens drafted at a time.
pub const MOST_STEPS: u32 = ossmark_protocol::MOST_DRAFTED as u32;

/// Which head drafts, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speculation {
    /// Folder with the head's `config.json` and safetensors.
    pub head: PathBuf,
    /// Tokens drafted at a time, 1 to [`MOST_STEPS`].
    pub steps: u32,
    /// What the configuration's layer ids mean.
    pub features: Features,
}
