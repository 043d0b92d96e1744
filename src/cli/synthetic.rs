//! Options for random weights, shared by the commands that need an engine.

use clap::{Args, ValueEnum};
use ossmark_engine::config::ModelConfig;
use ossmark_engine::weights::gpt_oss_120b;
use serde::{Deserialize, Serialize};

use super::heading;

/// Shapes that random weights can be made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum ShapeArg {
    #[value(name = "gpt-oss-120b")]
    #[serde(rename = "gpt-oss-120b")]
    GptOss120b,
    /// Its first two layers, to try a command.
    #[value(name = "gpt-oss-120b-2-layers")]
    #[serde(rename = "gpt-oss-120b-2-layers")]
    TwoLayers,
    /// Two narrow layers with its vocabulary, to try a command on the CPU.
    #[value(name = "tiny")]
    #[serde(rename = "tiny")]
    Tiny,
    /// 24 layers of width 1,024 whose rows use all 4 experts; 8,192 tokens.
    #[value(name = "all-experts")]
    #[serde(rename = "all-experts")]
    AllExperts,
}

impl ShapeArg {
    pub(crate) fn config(self) -> ModelConfig {
        let mut c = gpt_oss_120b();
        match self {
            Self::GptOss120b => {}
            Self::TwoLayers => c.layers.truncate(2),
            Self::Tiny => {
                c.layers.truncate(2);
                (c.hidden, c.intermediate, c.experts) = (64, 64, 8);
                (c.heads, c.kv_heads) = (8, 1);
            }
            Self::AllExperts => {
                c.layers.truncate(24);
                (c.hidden, c.intermediate, c.vocab_size) = (1024, 1024, 8192);
                (c.experts, c.top_k) = (4, 4);
                (c.heads, c.kv_heads) = (16, 2);
            }
        }
        c
    }

    /// As `--synthetic` spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GptOss120b => "gpt-oss-120b",
            Self::TwoLayers => "gpt-oss-120b-2-layers",
            Self::Tiny => "tiny",
            Self::AllExperts => "all-experts",
        }
    }
}

#[derive(Args, Debug, Default, Clone)]
#[command(next_help_heading = heading::SYNTHETIC)]
pub(crate) struct SyntheticArgs {
    /// Random weights of this shape instead of --model: for measuring speed and memory. Answers are noise, and every
    /// output says so.
    #[arg(long, value_enum, value_name = "SHAPE")]
    pub(crate) synthetic: Option<ShapeArg>,
    /// Other seeds, other random weights [default: 1].
    #[arg(long, value_name = "N")]
    pub(crate) synthetic_seed: Option<u32>,
    /// Spread of the random routers' biases: 0 uses all experts about equally, 2 some several times as often as others
    /// [default: 0].
    #[arg(long, value_name = "X")]
    pub(crate) synthetic_skew: Option<f32>,
}
