//! Options of speculative decoding, shared by the commands that need an engine.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::heading;

/// What the layer ids of a head's configuration mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FeaturesArg {
    /// Id N is what block N, counted from 0, puts out.
    BlockOutput,
    /// Id N is what block N takes in.
    Boundary,
}

#[derive(Args, Debug, Default, Clone)]
#[command(next_help_heading = heading::SPECULATION)]
pub(crate) struct SpeculateArgs {
    /// Draft tokens with the EAGLE3 head of this directory (config.json, safetensors) and verify them: the same tokens in
    /// fewer steps. See docs/speculation.md.
    #[arg(long, value_name = "HEAD_DIR")]
    pub(crate) speculate: Option<PathBuf>,
    /// Tokens drafted at a time [default: 3].
    #[arg(long, value_name = "N")]
    pub(crate) speculate_steps: Option<u32>,
    /// What the layer ids of the head's configuration mean [default: block-output].
    #[arg(long, value_enum)]
    pub(crate) speculate_features: Option<FeaturesArg>,
}
