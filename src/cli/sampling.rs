//! How the next token is chosen, for the commands that are not LoadGen's.

use clap::Args;
use ossmark_protocol::{MAX_SEED, Sampling};

use super::heading;

#[derive(Args, Debug)]
#[command(next_help_heading = heading::SAMPLING)]
pub(crate) struct SamplingArgs {
    /// What the logits are divided by before the next token is drawn; 0 takes the likeliest, always.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) temperature: f32,
    /// Draw from the likeliest tokens only that together have this probability; 1 keeps all.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) top_p: f32,
    /// Draw from this many of the likeliest tokens only; 0 keeps all.
    #[arg(long, default_value_t = 0)]
    pub(crate) top_k: u32,
    /// Of token sampling; each answer's own is made from it and the answer's place.
    #[arg(long, default_value_t = 0, value_parser = seed_range())]
    pub(crate) seed: u64,
}

/// What a run's seed may be: one bit more, and two seeds would give the same answers.
pub(crate) fn seed_range() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(..=MAX_SEED)
}

impl SamplingArgs {
    pub(crate) fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
        }
    }
}
