//! A prompt to continue.

use std::sync::Arc;

use crate::{RequestId, Sampling, TokenId};

/// One prompt to continue.
#[derive(Clone, Debug)]
pub struct Request {
    /// Comes back in every [`crate::SeqOutput`] of this request.
    pub id: RequestId,
    /// The prompt's tokens, at least one.
    pub prompt: Arc<[TokenId]>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Seeds this request's Mersenne Twister: its random numbers depend on nothing else. Whoever has none of its own takes one
    /// from [`crate::request_seed`].
    pub seed: u64,
    /// At most this many tokens are generated, at least one.
    pub max_new_tokens: u32,
    /// Tokens that end the answer beside the model's own; as those, the one that did is the answer's last. Mostly empty.
    pub stop_tokens: Arc<[TokenId]>,
    /// Whether the model's own stop tokens are tokens like others: the answer then ends at `max_new_tokens`, at the context's
    /// end or at one of `stop_tokens`.
    pub ignore_eos: bool,
    /// Also return the logits after every position of the sequence (for debugging; slow).
    pub want_logits: bool,
}
