//! OpenAI's `POST /v1/chat/completions`: a conversation becomes a Harmony prompt, and the answer is told apart by channel:
//! analysis as `reasoning_content` (the name of SGLang and DeepSeek; vLLM's is `reasoning`, and MLCommons' Endpoints client
//! refuses answers that have both), final as `content`. Texts of a conversation never become special tokens.

mod messages;
mod parts;
mod stream;
mod tools;

use std::sync::Arc;

use axum::response::Response;
use ossmark_harmony::Effort;
use ossmark_protocol::TokenId;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::common::{ResponseEnvelope, StreamOptions, choices, top_logprobs};
use super::logprobs::TokenTexts;
use crate::admission::Admission;
use crate::answer::Prepared;
use crate::body::parse;
use crate::clock;
use crate::error::ApiError;
use crate::known_fields::{CHAT, OPENAI, SAMPLING, refuse_unsupported};
use crate::logprobs::{Collector, WantedLogprobs};
use crate::new_request::NewRequest;
use crate::options::Options;
use crate::state::AppState;
use crate::stop_text::StopFinder;
use crate::text_tokens::StopDetector;
pub(super) use messages::{Message, prompt_messages};
pub(super) use parts::{ChoiceStream, Kind};
use stream::ChatStream;
use tools::{Tool, functions};

#[derive(Deserialize)]
struct Body {
    messages: Vec<Message>,
    reasoning_effort: Option<String>,
    chat_template_kwargs: Option<TemplateOptions>,
    /// The older name.
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    n: Option<u32>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    return_token_ids: Option<bool>,
    response_format: Option<ResponseFormat>,
    tools: Option<Vec<Tool>>,
    tool_choice: Option<Value>,
    logprobs: Option<bool>,
    top_logprobs: Option<u32>,
    #[serde(flatten)]
    options: Options,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Where clients of SGLang and vLLM put it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateOptions {
    reasoning_effort: Option<String>,
}

#[derive(Deserialize)]
struct ResponseFormat {
    r#type: String,
}

pub(crate) async fn chat(
    state: Arc<AppState>,
    body: Vec<u8>,
    mut admission: Admission,
) -> Result<Response, ApiError> {
    let body: Body = parse(body)?;
    refuse_unsupported(&[(&body.rest, &[OPENAI, CHAT, SAMPLING])])?;
    let usage = StreamOptions::usage(body.stream_options.as_ref());
    let options = body.options.check(&state.limits)?;
    let n = choices(body.n)?;
    admission.permits.raise_to(n as usize)?;
    refuse_formats(body.response_format)?;
    let functions = functions(body.tools.unwrap_or_default(), body.tool_choice)?;
    let offered = functions.is_some();
    let in_template = body
        .chat_template_kwargs
        .and_then(|options| options.reasoning_effort);
    let effort = effort(body.reasoning_effort.or(in_template))?;
    let date = state.settings.chat_date.clone();
    let date = date.unwrap_or_else(|| clock::day(clock::now()));
    let messages = prompt_messages(&date, effort, functions, body.messages)?;
    let prompt: Arc<[TokenId]> = state.tokenizer.conversation(messages).await?.into();
    let max_new_tokens = match body.max_completion_tokens.or(body.max_tokens) {
        Some(n) => n,
        None => state
            .registry
            .max_new_tokens(&prompt, state.limits.max_context)?,
    };
    let parser = state.tokenizer.parser()?;
    let finder = StopFinder::new(options.stop_texts.clone());
    let top = top_logprobs(body.top_logprobs.unwrap_or(0), "top_logprobs")?;
    let wanted = body
        .logprobs
        .unwrap_or(false)
        .then_some(WantedLogprobs { top, prompt: false });
    if wanted.is_none() && top > 0 {
        return Err(ApiError::bad_param(
            "top_logprobs",
            "top_logprobs without logprobs: true",
        ));
    }
    let room = match wanted {
        Some(_) => Some(state.logits_room.acquire(prompt.len(), n).await?),
        None => None,
    };
    let requests = (0..n).map(|choice| NewRequest {
        stop_text: StopDetector::content(&parser, &options.stop_texts),
        logprobs: wanted.zip(room.as_ref()).map(|(wanted, room)| {
            Box::new(Collector::new(
                wanted,
                Arc::clone(&prompt),
                Arc::clone(room),
            ))
        }),
        ..options.request(Arc::clone(&prompt), max_new_tokens, choice)
    });
    let requests = requests.collect();
    let return_token_ids = body.return_token_ids.unwrap_or(false);
    let stream = body.stream.unwrap_or(false);
    let object = match stream {
        true => "chat.completion.chunk",
        false => "chat.completion",
    };
    let prepared = Prepared {
        admission,
        requests,
        stream,
        format: move |state: &AppState, first| ChatStream {
            envelope: ResponseEnvelope {
                prompt_tokens: prompt.len(),
                usage,
                prompt: return_token_ids.then_some(prompt),
                ..ResponseEnvelope::new(state, state.answer_id("chatcmpl-", first), object)
            },
            choices: vec![ChoiceStream::new(parser, finder, offered); n as usize],
            call_id: state.answer_id("call_", first),
            return_token_ids,
            logprobs: wanted
                .is_some()
                .then(|| TokenTexts(state.tokenizer.shared())),
        },
    };
    prepared.answer(&state).await
}

fn refuse_formats(format: Option<ResponseFormat>) -> Result<(), ApiError> {
    if let Some(format) = format.filter(|format| format.r#type != "text") {
        let message = format!(
            "response_format {} is not supported; text is",
            format.r#type
        );
        return Err(ApiError::bad_param("response_format", message));
    }
    Ok(())
}

pub(super) fn effort(name: Option<String>) -> Result<Effort, ApiError> {
    name.map_or(Ok(Effort::Medium), |name| name.parse())
        .map_err(|error| ApiError::bad_param("reasoning_effort", error))
}
