//! What completions and chat have in common: options, the shape of responses, and the count of tokens.

use std::sync::Arc;

use ossmark_protocol::TokenId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer_delta::{AnswerDelta, FinishReason};
use crate::answer_format::{write_json, write_sse};
use crate::clock;
use crate::error::ApiError;
use crate::logprobs::MOST_ALTERNATIVES;
use crate::state::AppState;

#[derive(Deserialize)]
pub(super) struct StreamOptions {
    include_usage: Option<bool>,
    /// vLLM: usage so far in every event.
    continuous_usage_stats: Option<bool>,
}

impl StreamOptions {
    /// As vLLM, which has the usage so far only where it has that of the end.
    pub(super) fn usage(options: Option<&Self>) -> StreamUsage {
        let last = options.is_some_and(|options| options.include_usage == Some(true));
        let continuous =
            options.is_some_and(|options| options.continuous_usage_stats == Some(true));
        StreamUsage {
            last,
            continuous: last && continuous,
        }
    }
}

/// OpenAI's limit.
const MAX_CHOICES: u32 = 128;

/// How many of the most probable tokens are told beside each.
pub(super) fn top_logprobs(n: u32, param: &'static str) -> Result<u32, ApiError> {
    match n {
        0..=MOST_ALTERNATIVES => Ok(n),
        n => Err(ApiError::bad_param(
            param,
            format!("{param} is {n}, expected 0 to {MOST_ALTERNATIVES}"),
        )),
    }
}

/// How many answers to each prompt.
pub(super) fn choices(n: Option<u32>) -> Result<u32, ApiError> {
    match n.unwrap_or(1) {
        n @ 1..=MAX_CHOICES => Ok(n),
        n => Err(ApiError::bad_param(
            "n",
            format!("n is {n}, expected 1 to {MAX_CHOICES}"),
        )),
    }
}

/// One choice: whole, or in a stream what is new of it. `T` is what the interfaces name differently.
#[derive(Serialize)]
pub(super) struct Choice<'a, T> {
    index: usize,
    #[serde(flatten)]
    content: T,
    pub(super) logprobs: Option<Value>,
    pub(super) finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_ids: Option<&'a [TokenId]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_token_ids: Option<&'a [TokenId]>,
}

impl<'a, T> Choice<'a, T> {
    pub(super) fn new(
        index: usize,
        content: T,
        finish_reason: Option<&FinishReason>,
        token_ids: Option<&'a [TokenId]>,
    ) -> Self {
        Self {
            index,
            content,
            logprobs: None,
            finish_reason: match finish_reason {
                Some(FinishReason::Stop(_) | FinishReason::StopText(_)) => Some("stop"),
                Some(FinishReason::Length) => Some("length"),
                Some(FinishReason::Failed(_)) | None => None,
            },
            token_ids,
            prompt_token_ids: None,
        }
    }
}

/// OpenAI's count of tokens.
#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
    prompt_tokens_details: PromptTokensDetails,
}

/// Prompts are never cached.
#[derive(Serialize)]
struct PromptTokensDetails {
    cached_tokens: usize,
}

/// What a stream says of its tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StreamUsage {
    /// It ends with the usage.
    last: bool,
    /// Every event has the usage so far (vLLM).
    continuous: bool,
}

/// What the response to one request says besides its choices: in a stream, with every event.
pub(super) struct ResponseEnvelope {
    pub(super) head: ResponseHead,
    pub(super) prompt_tokens: usize,
    pub(super) completion_tokens: usize,
    pub(super) usage: StreamUsage,
    /// Written once, with what is written first.
    pub(super) prompt: Option<Arc<[TokenId]>>,
}

#[derive(Serialize)]
pub(super) struct ResponseHead {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
}

#[derive(Serialize)]
struct Completion<'a, T> {
    #[serde(flatten)]
    head: &'a ResponseHead,
    choices: &'a [Choice<'a, T>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_token_ids: Option<&'a [TokenId]>,
}

impl ResponseEnvelope {
    pub(super) fn new(state: &AppState, id: String, object: &'static str) -> Self {
        Self {
            head: ResponseHead {
                id,
                object,
                created: clock::now(),
                model: state.settings.model_name.clone(),
            },
            prompt_tokens: 0,
            completion_tokens: 0,
            usage: StreamUsage::default(),
            prompt: None,
        }
    }

    /// Counts tokens for the usage.
    pub(super) fn count(&mut self, delta: &AnswerDelta) {
        self.completion_tokens += delta.tokens.len();
    }

    /// A whole response, or the data of an event.
    pub(super) fn write<T: Serialize>(
        &mut self,
        choices: &[Choice<'_, T>],
        with_usage: bool,
        out: &mut Vec<u8>,
    ) {
        let prompt = self.prompt.take();
        let completion = Completion {
            head: &self.head,
            choices,
            usage: with_usage.then(|| Usage {
                prompt_tokens: self.prompt_tokens,
                completion_tokens: self.completion_tokens,
                total_tokens: self.prompt_tokens + self.completion_tokens,
                prompt_tokens_details: PromptTokensDetails { cached_tokens: 0 },
            }),
            prompt_token_ids: prompt.as_deref(),
        };
        write_json(out, &completion);
    }

    /// One event of a stream.
    pub(super) fn write_event<T: Serialize>(&mut self, choice: Choice<'_, T>, out: &mut Vec<u8>) {
        let with_usage = self.usage.continuous;
        write_sse(out, |out| self.write(&[choice], with_usage, out));
    }

    /// The last event of a stream, if the usage was asked for.
    pub(super) fn write_usage(&mut self, out: &mut Vec<u8>) {
        if self.usage.last {
            write_sse(out, |out| self.write::<()>(&[], true, out));
        }
    }
}
