//! SGLang's `POST /generate`, as `sglang/srt/managers/io_struct.py` and `tokenizer_manager.py` of SGLang 0.5 have it and
//! MLCommons' clients read it: `output_ids` and `text` of a stream's event are all so far, `completion_tokens` counts them.
//!
//! MLCommons' Endpoints client wants `weight_version`, `total_retractions`, `cached_tokens` and `e2e_latency` in every
//! answer: there is one set of weights, tokens are never taken back, and prompts are never cached.

mod stream;

use std::sync::Arc;

use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::admission::Admission;
use crate::answer::Prepared;
use crate::body::parse;
use crate::error::ApiError;
use crate::known_fields::{GENERATE, SAMPLING, refuse_unsupported};
use crate::new_request::NewRequest;
use crate::options::Options;
use crate::prompts::Prompts;
use crate::state::AppState;
use stream::{GenerateStream, OutputStream};

#[derive(Deserialize)]
struct Body {
    text: Option<Prompts>,
    input_ids: Option<Prompts>,
    sampling_params: Option<Params>,
    stream: Option<bool>,
    rid: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize, Default)]
struct Params {
    max_new_tokens: Option<u32>,
    #[serde(flatten)]
    options: Options,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// SGLang's default.
const MAX_NEW_TOKENS: u32 = 128;
const MAX_RID_BYTES: usize = 256;

pub(crate) async fn generate(
    state: Arc<AppState>,
    body: Vec<u8>,
    mut admission: Admission,
) -> Result<Response, ApiError> {
    let body: Body = parse(body)?;
    let params = body.sampling_params.unwrap_or_default();
    refuse_unsupported(&[(&body.rest, &[GENERATE]), (&params.rest, &[SAMPLING])])?;
    let options = params.options.check(&state.limits)?;
    if body
        .rid
        .as_ref()
        .is_some_and(|rid| rid.len() > MAX_RID_BYTES)
    {
        return Err(invalid_rid());
    }
    let n = [&body.text, &body.input_ids].map(|prompts| prompts.as_ref().map_or(0, Prompts::len));
    admission.permits.raise_to(n[0].max(n[1]))?;
    let prompts = prompts_of(body.text, body.input_ids)?;
    let batch = prompts.is_batch();
    let prompts = state.tokenizer.prompts(prompts, None).await?;
    if batch && body.rid.is_some() {
        return Err(invalid_rid());
    }
    let max_new_tokens = params.max_new_tokens.unwrap_or(MAX_NEW_TOKENS);
    let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
    let requests = prompts.into_iter().map(|prompt| {
        Ok(NewRequest {
            stop_text: state.tokenizer.stop_detector(&options)?,
            ..options.request(prompt.into(), max_new_tokens, 0)
        })
    });
    let requests = requests.collect::<Result<_, ApiError>>()?;
    let rid = body.rid;
    let format = move |state: &AppState, first| {
        let answer = |(index, prompt_tokens)| OutputStream {
            id: match &rid {
                Some(rid) => rid.clone(),
                None => state.answer_id("", first + index as u64),
            },
            prompt_tokens,
            index: batch.then_some(index),
            trim_stop: options.trim_stop,
            finish_object: state.settings.finish_reason_object,
            decoder: state.tokenizer.decoder(&options),
            ..OutputStream::default()
        };
        GenerateStream {
            answers: lengths.into_iter().enumerate().map(answer).collect(),
            incremental: state.settings.incremental_output,
            batch,
        }
    };
    let prepared = Prepared {
        admission,
        requests,
        stream: body.stream.unwrap_or(false),
        format,
    };
    prepared.answer(&state).await
}

/// The prompts, which are in one of these fields.
fn prompts_of(text: Option<Prompts>, ids: Option<Prompts>) -> Result<Prompts, ApiError> {
    match (text, ids) {
        (Some(_), Some(_)) => Err(ApiError::bad("both text and input_ids: give one of them")),
        (None, None) => Err(ApiError::bad(
            "no prompt: give input_ids (a list of token ids) or text",
        )),
        (None, Some(Prompts::Text(_) | Prompts::Texts(_))) => Err(ApiError::bad_param(
            "input_ids",
            "input_ids holds text, expected token ids",
        )),
        (Some(Prompts::Tokens(_) | Prompts::TokenLists(_)), None) => Err(ApiError::bad_param(
            "text",
            "text holds token ids, expected text; ids go into input_ids",
        )),
        (Some(prompts), None) | (None, Some(prompts)) => Ok(prompts),
    }
}

fn invalid_rid() -> ApiError {
    let message = format!("rid names one request, with at most {MAX_RID_BYTES} bytes");
    ApiError::bad_param("rid", message)
}
