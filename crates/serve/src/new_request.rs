//! A request that the engine has not got yet.

use std::sync::Arc;

use ossmark_protocol::{Request, RequestId, Sampling, StopTokens, TokenId, request_seed};

pub(crate) struct NewRequest {
    pub(crate) prompt: Arc<[TokenId]>,
    pub(crate) sampling: Sampling,
    pub(crate) seed: Option<u64>,
    pub(crate) max_new_tokens: u32,
    /// Tokens that end it besides the model's own; the server looks for them.
    pub(crate) stop: Box<[TokenId]>,
}

impl NewRequest {
    /// As the engine wants it, with this number; `seed` is the server's.
    pub(crate) fn numbered(self, id: u64, seed: u64) -> Request {
        Request {
            id: RequestId(id),
            prompt: self.prompt,
            sampling: self.sampling,
            seed: self.seed.unwrap_or_else(|| request_seed(seed, id)),
            max_new_tokens: self.max_new_tokens,
            want_logits: false,
            stop_tokens: StopTokens::default(),
            ignore_eos: false,
        }
    }
}
