//! How the next token is chosen, for the commands that are not LoadGen's.

use clap::Args;
use ossmark_engine::types::Sampling;

#[derive(Args, Debug)]
pub(crate) struct SamplingArgs {
    /// 0 is greedy.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) temperature: f32,
    #[arg(long, default_value_t = 1.0)]
    pub(crate) top_p: f32,
    /// 0 keeps all tokens.
    #[arg(long, default_value_t = 0)]
    pub(crate) top_k: u32,
    /// Of token sampling; each answer's own is made from it and the answer's place.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
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
