//! What completions and chat have in common: options, the shape of responses, and the count of tokens.

use std::sync::Arc;

use ossmark_protocol::TokenId;
use serde::{Deserialize, Serialize};

use crate::answer_buffer::{AnswerDelta, FinishReason};
use crate::answer_format::{write_json, write_sse};
use crate::clock;
use crate::error::ApiError;
use crate::ignored_params::{IgnoredParams, IgnoredWhen};
use crate::state::AppState;

/// Ignored by both interfaces: they do not touch the answer.
pub(super) const IGNORED: IgnoredParams = &[
    ("model", IgnoredWhen::Always),
    ("user", IgnoredWhen::Always),
    ("metadata", IgnoredWhen::Always),
    ("store", IgnoredWhen::Off),
    ("service_tier", IgnoredWhen::Always),
    ("safety_identifier", IgnoredWhen::Always),
    ("prompt_cache_key", IgnoredWhen::Always),
    ("request_id", IgnoredWhen::Always),
    ("priority", IgnoredWhen::Always),
    ("logprobs", IgnoredWhen::Off),
    ("include_stop_str_in_output", IgnoredWhen::Off),
];

#[derive(Deserialize)]
pub(super) struct StreamOptions {
    include_usage: Option<bool>,
    /// vLLM: usage so far in every event.
    continuous_usage_stats: Option<bool>,
}

impl StreamOptions {
    pub(super) fn usage(options: Option<&Self>) -> Result<bool, ApiError> {
        match options {
            Some(options) if options.continuous_usage_stats == Some(true) => {
                Err(ApiError::bad_param(
                    "stream_options",
                    "continuous_usage_stats is not supported; include_usage is",
                ))
            }
            options => Ok(options.is_some_and(|options| options.include_usage == Some(true))),
        }
    }
}

/// OpenAI's limit.
const MAX_CHOICES: u32 = 128;

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
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
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
                Some(FinishReason::Stop(_)) => Some("stop"),
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
}

/// What the response to one request says besides its choices: in a stream, with every event.
pub(super) struct ResponseEnvelope {
    pub(super) head: ResponseHead,
    pub(super) prompt_tokens: usize,
    pub(super) completion_tokens: usize,
    /// A stream ends with the usage.
    pub(super) include_usage: bool,
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
            include_usage: false,
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
            }),
            prompt_token_ids: prompt.as_deref(),
        };
        write_json(out, &completion);
    }

    /// One event of a stream.
    pub(super) fn write_event<T: Serialize>(&mut self, choice: Choice<'_, T>, out: &mut Vec<u8>) {
        write_sse(out, |out| self.write(&[choice], false, out));
    }

    /// The last event of a stream, if the usage was asked for.
    pub(super) fn write_usage(&mut self, out: &mut Vec<u8>) {
        if self.include_usage {
            write_sse(out, |out| self.write::<()>(&[], true, out));
        }
    }
}
