//! OpenAI's `POST /v1/responses`: text in, text out, whole or streamed. Nothing is stored: an answer is gone once it is sent,
//! and a conversation is whatever a request brings.

mod input;
mod output;

use std::sync::Arc;

use axum::response::Response;
use ossmark_protocol::TokenId;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::input::{Input, messages};
use self::output::{ResponseStream, Written};
use super::chat::{ChoiceStream, effort, prompt_messages};
use crate::admission::Admission;
use crate::answer::Prepared;
use crate::body::parse;
use crate::clock;
use crate::error::ApiError;
use crate::known_fields::{RESPONSES, refuse_unsupported};
use crate::options::Options;
use crate::state::AppState;
use crate::stop_text::StopFinder;

#[derive(Deserialize)]
struct Body {
    input: Input,
    instructions: Option<String>,
    max_output_tokens: Option<u32>,
    reasoning: Option<Reasoning>,
    stream: Option<bool>,
    text: Option<Text>,
    tool_choice: Option<Value>,
    #[serde(flatten)]
    options: Options,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Reasoning {
    effort: Option<String>,
}

#[derive(Deserialize)]
struct Text {
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Format {
    r#type: String,
}

pub(crate) async fn responses(
    state: Arc<AppState>,
    body: Vec<u8>,
    admission: Admission,
) -> Result<Response, ApiError> {
    let body: Body = parse(body)?;
    refuse_unsupported(&[(&body.rest, &[RESPONSES])])?;
    let format = body.text.and_then(|text| text.format);
    if let Some(format) = format.filter(|format| format.r#type != "text") {
        let message = format!("text.format {} is not supported; text is", format.r#type);
        return Err(ApiError::bad_param("text", message));
    }
    if let Some(choice) = body.tool_choice
        && !matches!(choice.as_str(), Some("none" | "auto"))
    {
        let message = format!("tool_choice {choice}: there are no tools");
        return Err(ApiError::bad_param("tool_choice", message));
    }
    let options = body.options.check(&state.limits)?;
    if !options.stop_texts.is_empty() {
        return Err(ApiError::bad_param(
            "stop",
            "stop is not known to this interface",
        ));
    }
    let effort = effort(body.reasoning.and_then(|reasoning| reasoning.effort))?;
    let date = state.settings.chat_date.clone();
    let date = date.unwrap_or_else(|| clock::day(clock::now()));
    let messages = prompt_messages(
        &date,
        effort,
        None,
        messages(body.instructions, body.input)?,
    )?;
    let prompt: Arc<[TokenId]> = state.tokenizer.conversation(messages).await?.into();
    let max_new_tokens = match body.max_output_tokens {
        Some(n) => n,
        None => state
            .registry
            .max_new_tokens(&prompt, state.limits.max_context)?,
    };
    let answer = ChoiceStream::new(state.tokenizer.parser()?, StopFinder::default(), false);
    let request = options.request(Arc::clone(&prompt), max_new_tokens, 0);
    let prepared = Prepared {
        admission,
        requests: vec![request],
        stream: body.stream.unwrap_or(false),
        format: move |state: &AppState, first| {
            ResponseStream::new(
                answer,
                Written {
                    id: state.answer_id("", first),
                    model: state.settings.model_name.clone(),
                    created_at: clock::now(),
                    temperature: options.sampling.temperature,
                    top_p: options.sampling.top_p,
                    max_output_tokens: body.max_output_tokens,
                    effort: effort.name(),
                    input_tokens: prompt.len(),
                },
            )
        },
    };
    prepared.answer(&state).await
}
