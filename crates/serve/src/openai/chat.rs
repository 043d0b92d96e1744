//! OpenAI's `POST /v1/chat/completions`: a conversation becomes a Harmony prompt, and the answer is told apart by channel:
//! analysis as `reasoning_content` (the name of SGLang and DeepSeek; vLLM's is `reasoning`, and MLCommons' Endpoints client
//! refuses answers that have both), final as `content`. Texts of a conversation never become control tokens.

mod messages;
mod stream;

use std::sync::Arc;

use axum::response::Response;
use ossmark_harmony::Effort;
use ossmark_protocol::TokenId;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::common::{IGNORED, ResponseEnvelope, StreamOptions, choices};
use crate::admission::Admission;
use crate::answer::Prepared;
use crate::body::parse;
use crate::clock;
use crate::error::ApiError;
use crate::ignored_params::{IGNORED_SAMPLING, IgnoredParams, IgnoredWhen, refuse_unsupported};
use crate::options::Options;
use crate::state::AppState;
use messages::{Message, turns};
use stream::{ChatStream, ChoiceStream};

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
    tool_choice: Option<Value>,
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

const IGNORED_HERE: IgnoredParams = &[
    ("tools", IgnoredWhen::Off),
    ("functions", IgnoredWhen::Off),
    ("parallel_tool_calls", IgnoredWhen::Always),
    ("top_logprobs", IgnoredWhen::Off),
    ("verbosity", IgnoredWhen::Always),
    ("chat_template", IgnoredWhen::Off),
];

pub(crate) async fn chat(
    state: Arc<AppState>,
    body: Vec<u8>,
    mut admission: Admission,
) -> Result<Response, ApiError> {
    let body: Body = parse(body)?;
    refuse_unsupported(&body.rest, &[IGNORED, IGNORED_HERE, IGNORED_SAMPLING])?;
    let include_usage = StreamOptions::usage(body.stream_options.as_ref())?;
    let options = body.options.check(&state.limits)?;
    let n = choices(body.n)?;
    admission.permits.raise_to(n as usize)?;
    refuse_formats_and_tools(body.response_format, body.tool_choice)?;
    let in_template = body
        .chat_template_kwargs
        .and_then(|options| options.reasoning_effort);
    let effort = effort(body.reasoning_effort.or(in_template))?;
    let date = state.settings.chat_date.clone();
    let date = date.unwrap_or_else(|| clock::day(clock::now()));
    let turns = turns(&date, effort, body.messages)?;
    let prompt: Arc<[TokenId]> = state.tokenizer.conversation(turns).await?.into();
    let max_new_tokens = match body.max_completion_tokens.or(body.max_tokens) {
        Some(n) => n,
        None => state
            .registry
            .max_new_tokens(&prompt, state.limits.max_context)?,
    };
    let parser = state.tokenizer.parser()?;
    let role_sent = false;
    let requests =
        (0..n).map(|choice| options.request(Arc::clone(&prompt), max_new_tokens, choice));
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
                include_usage,
                prompt: return_token_ids.then_some(prompt),
                ..ResponseEnvelope::new(state, state.answer_id("chatcmpl-", first), object)
            },
            choices: vec![ChoiceStream { parser, role_sent }; n as usize],
            return_token_ids,
        },
    };
    prepared.answer(&state).await
}

fn refuse_formats_and_tools(
    format: Option<ResponseFormat>,
    tools: Option<Value>,
) -> Result<(), ApiError> {
    if let Some(format) = format.filter(|format| format.r#type != "text") {
        let message = format!(
            "response_format {} is not supported; text is",
            format.r#type
        );
        return Err(ApiError::bad_param("response_format", message));
    }
    if let Some(choice) = tools.filter(|choice| !matches!(choice.as_str(), Some("none" | "auto"))) {
        return Err(ApiError::bad_param(
            "tool_choice",
            format!("tool_choice {choice}: tools are not supported"),
        ));
    }
    Ok(())
}

fn effort(name: Option<String>) -> Result<Effort, ApiError> {
    name.map_or(Ok(Effort::Medium), |name| name.parse())
        .map_err(|error| ApiError::bad_param("reasoning_effort", error))
}
