//! What is new of an answer, for whoever writes it.

use std::time::Duration;

use ossmark_protocol::TokenId;

use crate::logprobs::Logprob;

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FinishReason {
    /// With this token, which is the last of its tokens.
    Stop(TokenId),
    /// With this text, which its last token completes.
    StopText(Box<str>),
    Length,
    /// For people.
    Failed(String),
}

/// What a reader finds.
#[derive(Debug, Default)]
pub(crate) struct AnswerDelta {
    /// Since the last time.
    pub(crate) tokens: Vec<TokenId>,
    /// Of these tokens, where they were asked for.
    pub(crate) logprobs: Vec<Logprob>,
    /// Of the prompt's tokens but the first, once, where they were asked for.
    pub(crate) prompt_logprobs: Vec<Logprob>,
    /// All so far.
    pub(crate) total: usize,
    /// Since the request was submitted.
    pub(crate) elapsed: Duration,
    pub(crate) finish_reason: Option<FinishReason>,
}

impl AnswerDelta {
    /// The tokens whose text is shown: with `trim_stop` all but the one that stopped the answer.
    pub(crate) fn visible_tokens(&self, trim_stop: bool) -> &[TokenId] {
        match (&self.finish_reason, self.tokens.split_last()) {
            (Some(FinishReason::Stop(stop)), Some((last, rest))) if trim_stop && last == stop => {
                rest
            }
            _ => &self.tokens,
        }
    }
}
