//! A request that the engine has not got yet.

use std::sync::Arc;

use ossmark_protocol::{Request, RequestId, Sampling, StopTokens, TokenId, request_seed};

use crate::logprobs::Collector;
use crate::text_tokens::StopDetector;

pub(crate) struct NewRequest {
    pub(crate) prompt: Arc<[TokenId]>,
    pub(crate) sampling: Sampling,
    pub(crate) seed: Option<u64>,
    pub(crate) max_new_tokens: u32,
    /// Tokens that end it besides the model's own; the server looks for them.
    pub(crate) stop: Box<[TokenId]>,
    /// Texts that end it.
    pub(crate) stop_text: Option<Box<StopDetector>>,
    /// Takes its logits.
    pub(crate) logprobs: Option<Box<Collector>>,
    /// Whether the model's own stop tokens are tokens like others.
    pub(crate) ignore_eos: bool,
    /// New tokens in an event of its stream; `None`: as the server is set.
    pub(crate) stream_interval: Option<usize>,
}

impl NewRequest {
    /// The shortest there is, to see whether the engine answers.
    pub(crate) fn probe() -> Self {
        Self {
            prompt: [0].into(),
            sampling: Sampling::GREEDY,
            seed: Some(0),
            max_new_tokens: 1,
            stop: [].into(),
            stop_text: None,
            logprobs: None,
            ignore_eos: false,
            stream_interval: None,
        }
    }

    /// As the engine wants it, with this number; `seed` is the server's.
    pub(crate) fn numbered(self, id: u64, seed: u64, want_logits: bool) -> Request {
        Request {
            id: RequestId(id),
            prompt: self.prompt,
            sampling: self.sampling,
            seed: self.seed.unwrap_or_else(|| request_seed(seed, id)),
            max_new_tokens: self.max_new_tokens,
            want_logits,
            stop_tokens: StopTokens::default(),
            ignore_eos: self.ignore_eos,
        }
    }
}
