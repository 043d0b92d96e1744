//! A head whose files were found and fit the target, before a device has it.

use super::config::HeadConfig;
use super::simulated::SimulatedAcceptance;
use super::sources::HeadSources;
use super::synthetic::synthetic_head_bytes;
use super::{Drafter, MOST_STEPS, Speculation, SyntheticHead};
use crate::config::ModelConfig;
use crate::load_error::LoadError;
use crate::weights::{Checkpoint, Placement};

/// See the module.
pub(crate) struct LoadedHead {
    pub(crate) config: HeadConfig,
    pub(crate) sources: HeadSources,
    /// Tokens drafted at a time.
    pub(crate) steps: u32,
    /// The acceptance length of a head that guesses nothing.
    simulated: Option<f64>,
    /// For people, behind the model's.
    pub(crate) description: String,
}

impl LoadedHead {
    /// Opens or makes the head for a target; `made`: where random weights are.
    ///
    /// # Errors
    /// No head there, one that is damaged, does not fit the target or is of a kind that this engine does not compute.
    pub(crate) fn new(
        drafter: &Drafter,
        target: &ModelConfig,
        made: Placement,
    ) -> Result<Self, LoadError> {
        let steps = drafter.steps();
        if !(1..=MOST_STEPS).contains(&steps) {
            return Err(LoadError::Settings(format!(
                "{steps} tokens to draft at a time, expected 1 to {MOST_STEPS} (--speculate-steps)"
            )));
        }
        match drafter {
            Drafter::Head(speculation) => Self::open(speculation, target),
            Drafter::Synthetic(which) => Self::synthetic(which, target, made),
        }
    }

    fn open(speculation: &Speculation, target: &ModelConfig) -> Result<Self, LoadError> {
        let Speculation {
            head,
            steps,
            features,
        } = speculation;
        let checkpoint = Checkpoint::open(head)?;
        let config = HeadConfig::load(checkpoint.dir(), target, *features)?;
        let sources = HeadSources::find(&checkpoint, &config)?;
        let description = format!(
            "; an EAGLE3 head of {:.1} MB drafts {steps} tokens at a time from the residual stream at boundaries {:?}",
            checkpoint.total_bytes() as f64 / 1e6,
            config.boundaries,
        );
        Ok(Self {
            config,
            sources,
            steps: *steps,
            simulated: None,
            description,
        })
    }

    fn synthetic(
        which: &SyntheticHead,
        target: &ModelConfig,
        made: Placement,
    ) -> Result<Self, LoadError> {
        let SyntheticHead {
            steps,
            acceptance_length,
            ..
        } = *which;
        if !(1.0..=f64::from(1 + steps)).contains(&acceptance_length) {
            return Err(LoadError::Settings(format!(
                "an acceptance length of {acceptance_length}, expected 1 to {}: the model's own token, and at most {steps} \
                 drafted ones",
                1 + steps
            )));
        }
        let config = HeadConfig::synthetic(target);
        let sources = HeadSources::synthetic(which, &config, made)?;
        let description = format!(
            "; a SYNTHETIC EAGLE3 head of {:.1} MB drafts {steps} tokens at a time, accepted without a look at them: acceptance \
             length {acceptance_length}",
            synthetic_head_bytes(target) as f64 / 1e6,
        );
        Ok(Self {
            config,
            sources,
            steps,
            simulated: Some(acceptance_length),
            description,
        })
    }

    /// What stands in for the comparison of drafts with what the model chose, if anything does.
    pub(super) fn simulated(&self) -> Option<SimulatedAcceptance> {
        self.simulated
            .map(|length| SimulatedAcceptance::new(length, self.steps))
    }

    /// Bytes of its buffers for steps of `rows` rows, see `Head::new`.
    pub(crate) fn scratch_bytes(&self, rows: u64, max_seqs: u64) -> u64 {
        let c = &self.config;
        let heads = 2 * c.heads + 2 * c.kv_heads;
        let row = (2 * c.boundaries.len() + 6) * c.hidden + heads * c.head_dim + 3 * c.intermediate;
        4 * (rows * row as u64 + max_seqs * (c.hidden + c.draft_vocab_size) as u64)
    }
}
