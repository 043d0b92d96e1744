//! What is kept of a step from its submission to its results. Plain data of the engine thread.

use crate::executor::{Draft, StepHandle};
use ossmark_protocol::{RequestId, TokenId};

/// Order of arrival; never used again, so that a late result cannot reach a stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SeqKey(pub(crate) u64);

/// A submitted step.
pub(crate) struct InFlight {
    /// Counted from 1.
    pub(crate) step: u64,
    pub(crate) handle: StepHandle,
    /// Of all its sequences: input tokens, and drafted ones that are verified.
    pub(crate) rows: u64,
    /// Those of them that are tokens of prompts.
    pub(crate) prefill_tokens: u64,
    /// Positions that the others look back on.
    pub(crate) context: u64,
    /// In the order of the plan.
    pub(crate) seqs: Vec<InFlightSeq>,
}

/// What one sequence of a submitted step waits for.
pub(crate) struct InFlightSeq {
    pub(crate) key: SeqKey,
    pub(crate) id: RequestId,
    /// A token was asked for.
    pub(crate) samples: bool,
    /// Set when it was a round of speculation: how many tokens were to be drafted, perhaps none for want of room.
    pub(crate) drafts: Option<u32>,
    /// The position after its last input: that of the first drafted token.
    pub(crate) start: u32,
    /// Rows of logits that were asked for.
    pub(crate) rows: u32,
    /// How many of them an earlier step has already delivered.
    pub(crate) skip_rows: u32,
}

/// What one step did for one sequence.
pub(crate) struct SeqStep {
    pub(crate) key: SeqKey,
    pub(crate) token: Option<TokenId>,
    /// What was drafted, and how much of it precedes `token`; set as in [`InFlightSeq`].
    pub(crate) draft: Option<Draft>,
    /// See [`InFlightSeq::start`].
    pub(crate) start: u32,
    /// Of what stands.
    pub(crate) logits: Vec<f32>,
}
