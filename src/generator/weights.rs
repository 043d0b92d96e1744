//! Which weights an engine loads: a checkpoint's, or random ones in its shape.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ossmark_engine::LoadError;
use ossmark_engine::config::ModelConfig;
use ossmark_engine::weights::Synthetic;
use serde_json::{Value, json};

use crate::cli::{EngineArgs, ShapeArg};

/// What is loaded.
#[derive(Clone, Debug)]
pub(crate) enum Weights {
    /// The files of this directory.
    Checkpoint(PathBuf),
    /// Random numbers: speed and memory are a model's, answers are noise.
    Synthetic { shape: ShapeArg, which: Synthetic },
}

/// Said wherever answers of random weights are.
pub(crate) const NOISE: &str = "SYNTHETIC random weights: these answers are noise";

impl Weights {
    pub(crate) fn choose(args: &EngineArgs) -> Result<Self> {
        let asked = &args.synthetic;
        let Some(shape) = asked.synthetic else {
            if asked.synthetic_seed.is_some() || asked.synthetic_skew.is_some() {
                bail!(
                    "--synthetic-seed and --synthetic-skew are for --synthetic SHAPE; give that, or leave them out"
                );
            }
            let path = args.model.clone();
            return path
                .context(
                    "missing --model DIR: config.json, safetensors and tokenizer.json (or --synthetic SHAPE)",
                )
                .map(Self::Checkpoint);
        };
        if let Some(model) = &args.model {
            bail!(
                "--model {} and --synthetic {}: weights are either a checkpoint's or random; leave one out",
                model.display(),
                shape.name()
            );
        }
        let router_skew = asked.synthetic_skew.unwrap_or(0.0);
        if !(0.0..=100.0).contains(&router_skew) {
            bail!("--synthetic-skew {router_skew}: expected a number from 0 to 100");
        }
        Ok(Self::Synthetic {
            shape,
            which: Synthetic {
                seed: asked.synthetic_seed.unwrap_or(1),
                router_skew,
            },
        })
    }

    /// The checkpoint's directory.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Checkpoint(path) => Some(path),
            Self::Synthetic { .. } => None,
        }
    }

    pub(crate) fn are_synthetic(&self) -> bool {
        matches!(self, Self::Synthetic { .. })
    }

    /// The model's dimensions.
    pub(crate) fn config(&self) -> Result<ModelConfig, LoadError> {
        match self {
            Self::Checkpoint(path) => ModelConfig::load(path),
            Self::Synthetic { shape, .. } => Ok(shape.config()),
        }
    }

    /// As the command line names it.
    pub(crate) fn option(&self) -> String {
        match self {
            Self::Checkpoint(path) => format!("--model {}", path.display()),
            Self::Synthetic { shape, .. } => format!("--synthetic {}", shape.name()),
        }
    }

    /// For whoever wants to know later; null for a checkpoint.
    pub(crate) fn synthetic_json(&self) -> Value {
        match self {
            Self::Checkpoint(_) => Value::Null,
            Self::Synthetic { shape, which } => {
                json!({ "shape": shape, "seed": which.seed, "router_skew": which.router_skew })
            }
        }
    }
}
