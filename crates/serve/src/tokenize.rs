//! `POST /tokenize` and `/detokenize`, as vLLM and SGLang have them, under the bounds of prompts that are answered.

use std::sync::Arc;

use axum::response::Response;
use ossmark_protocol::TokenId;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::admission::Admission;
use crate::body::parse;
use crate::error::{ApiError, json_response};
use crate::known_fields::{DETOKENIZE, TOKENIZE, refuse_unsupported};
use crate::prompts::Prompts;
use crate::state::AppState;

#[derive(Deserialize)]
struct Text {
    prompt: Prompts,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Tokens {
    tokens: Vec<TokenId>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The ids of a text, by the rules of a prompt for `/v1/completions`.
pub(crate) async fn tokenize(
    state: Arc<AppState>,
    body: Vec<u8>,
    _admission: Admission,
) -> Result<Response, ApiError> {
    let body: Text = parse(body)?;
    refuse_unsupported(&[(&body.rest, &[TOKENIZE])])?;
    let Prompts::Text(text) = body.prompt else {
        return Err(ApiError::bad_param(
            "prompt",
            "prompt is a list, expected one text",
        ));
    };
    let prompts = state
        .tokenizer
        .prompts(Prompts::Text(text), Some("prompt"))
        .await?;
    let tokens = prompts.into_iter().next().unwrap_or_default();
    let answer = json!({
        "count": tokens.len(),
        "max_model_len": state.limits.max_context,
        "tokens": tokens,
        "token_strs": null,
    });
    Ok(json_response(answer.to_string().into()))
}

/// The text of ids, control tokens and all: under vLLM's name and SGLang's.
pub(crate) async fn detokenize(
    state: Arc<AppState>,
    body: Vec<u8>,
    _admission: Admission,
) -> Result<Response, ApiError> {
    let body: Tokens = parse(body)?;
    refuse_unsupported(&[(&body.rest, &[DETOKENIZE])])?;
    let (n, context) = (body.tokens.len(), state.limits.max_context);
    if n > context as usize {
        let message = format!("{n} tokens, expected at most the context's {context}");
        return Err(ApiError::bad_param("tokens", message));
    }
    let vocab_size = state.limits.vocab_size;
    if let Some(token) = body.tokens.iter().find(|token| **token >= vocab_size) {
        let message = format!("token {token} is outside the vocabulary of {vocab_size}");
        return Err(ApiError::bad_param("tokens", message));
    }
    let text = state.tokenizer.text(&body.tokens)?;
    let answer = json!({ "prompt": text, "text": text });
    Ok(json_response(answer.to_string().into()))
}
