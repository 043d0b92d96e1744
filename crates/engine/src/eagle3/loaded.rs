//! A head whose files were found and fit the target, before a device has it.

use super::config::HeadConfig;
use super::sources::HeadSources;
use super::{MOST_STEPS, Speculation};
use crate::config::ModelConfig;
use crate::load_error::LoadError;
use crate::weights::{Checkpoint, ModelSources};

/// See the module.
pub(crate) struct LoadedHead {
    pub(crate) config: HeadConfig,
    pub(crate) sources: HeadSources,
    /// Tokens drafted at a time.
    pub(crate) steps: u32,
    /// For people, behind the model's.
    pub(crate) description: String,
}

impl LoadedHead {
    /// Opens the head for a target.
    ///
    /// # Errors
    /// No head there, one that is damaged, does not fit the target or is of a kind that this engine does not compute.
    pub(crate) fn open(
        speculation: &Speculation,
        target: &ModelConfig,
        of_target: &ModelSources,
    ) -> Result<Self, LoadError> {
        let Speculation {
            head,
            steps,
            features,
        } = speculation;
        if !(1..=MOST_STEPS).contains(steps) {
            return Err(LoadError::Settings(format!(
                "{steps} tokens to draft at a time, expected 1 to {MOST_STEPS} (--speculate-steps)"
            )));
        }
        let checkpoint = Checkpoint::open(head)?;
        let config = HeadConfig::load(checkpoint.dir(), target, *features)?;
        let sources = HeadSources::find(&checkpoint, &config, of_target)?;
        let description = format!(
            "; an EAGLE3 head of {:.1} MB drafts {steps} tokens at a time from the residual stream at boundaries {:?}",
            checkpoint.total_bytes() as f64 / 1e6,
            config.boundaries,
        );
        Ok(Self {
            config,
            sources,
            steps: *steps,
            description,
        })
    }

    /// Bytes of its buffers for steps of `rows` rows, see `Head::new`.
    pub(crate) fn scratch_bytes(&self, rows: u64, max_seqs: u64) -> u64 {
        let c = &self.config;
        let heads = 2 * c.heads + 2 * c.kv_heads;
        let row = (3 * c.boundaries.len() + 6) * c.hidden + heads * c.head_dim + 3 * c.intermediate;
        4 * (rows * row as u64 + max_seqs * (2 * c.hidden + c.draft_vocab_size) as u64)
    }
}
