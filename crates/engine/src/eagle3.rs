//! EAGLE3: a draft head of one Llama layer that guesses the target's next tokens from the target's own hidden states.
//!
//! Owns the head's configuration, tensors and forward pass, and the executor that drafts, verifies and keeps what stands.
//! Knows no requests and no scheduler; the scheduler knows spans of tokens and no head. Facts and their sources: the layout is
//! that of nvidia/gpt-oss-120b-Eagle3-long-context as SGLang's and vLLM's `llama_eagle3.py` load it.

mod compare;
mod config;
mod head;
mod json;
mod loaded;
mod passes;
mod runner;
mod simulated;
mod sources;
mod synthetic;

#[cfg(test)]
mod tests;

pub use self::config::{Features, HeadConfig};
pub(crate) use self::head::Head;
pub(crate) use self::loaded::LoadedHead;
pub(crate) use self::runner::SpeculativeRunner;
pub use self::sources::tensors_sha256;
pub(crate) use self::synthetic::synthetic_head_bytes;

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

/// Random weights in the shape of the head that MLPerf allows, for measurements of speed. They guess nothing right, so how much
/// of what they draft stands is given, and not compared with what the model chose: the answers are no model's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SyntheticHead {
    /// Other seeds, other numbers.
    pub seed: u32,
    /// Tokens drafted at a time, 1 to [`MOST_STEPS`].
    pub steps: u32,
    /// Tokens a round on average, the model's own included: 1 to `steps` + 1.
    pub acceptance_length: f64,
}

/// What drafts.
#[derive(Clone, Debug, PartialEq)]
pub enum Drafter {
    /// A head from its files.
    Head(Speculation),
    /// One of random weights.
    Synthetic(SyntheticHead),
}

impl From<Speculation> for Drafter {
    fn from(speculation: Speculation) -> Self {
        Self::Head(speculation)
    }
}

impl Drafter {
    /// Tokens drafted at a time.
    #[must_use]
    pub fn steps(&self) -> u32 {
        match self {
            Self::Head(s) => s.steps,
            Self::Synthetic(s) => s.steps,
        }
    }
}
