//! A prompt to continue.

use std::ops::Deref;
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
    /// Tokens that end the answer beside the model's own; as those, the one that did is the answer's last. Mostly none.
    pub stop_tokens: StopTokens,
    /// Whether the model's own stop tokens are tokens like others: the answer then ends at `max_new_tokens`, at the context's
    /// end or at one of `stop_tokens`.
    pub ignore_eos: bool,
    /// Also return the logits after every position of the sequence (for debugging; slow).
    pub want_logits: bool,
}

/// The stop tokens of one request. None cost nothing: an empty `Arc` would be a count shared by all requests, which the thread
/// that makes them and the one that ends them would pull from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopTokens(Option<Arc<[TokenId]>>);

impl Deref for StopTokens {
    type Target = [TokenId];

    fn deref(&self) -> &[TokenId] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl From<Vec<TokenId>> for StopTokens {
    fn from(tokens: Vec<TokenId>) -> Self {
        Self((!tokens.is_empty()).then(|| tokens.into()))
    }
}
