//! What the interfaces have in common: parsing of bodies, ids, which tokens are shown as text, the list of models.

use ossmark_protocol::TokenId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::error::ApiError;
use crate::slot::Ended;

/// A body as JSON, or what is wrong with it and where.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad(format!("the body is no valid request: {error}")))
}

/// Unique among the answers of this server, and between its restarts.
pub(crate) fn id(app: &App, prefix: &str, request: u64) -> String {
    format!(
        "{prefix}{:08x}{:08x}{request:016x}",
        app.started as u32,
        std::process::id()
    )
}

/// The tokens whose text is shown: all but the one that stopped the answer.
pub(crate) fn shown<'a>(
    tokens: &'a [TokenId],
    ended: Option<&Ended>,
    trim_stop: bool,
) -> &'a [TokenId] {
    match (ended, tokens.split_last()) {
        (Some(Ended::Stop(stop)), Some((last, rest))) if trim_stop && last == stop => rest,
        _ => tokens,
    }
}

/// OpenAI's words.
pub(crate) fn finish_reason(ended: &Ended) -> Option<&'static str> {
    match ended {
        Ended::Stop(_) => Some("stop"),
        Ended::Length => Some("length"),
        Ended::Failed(_) => None,
    }
}

/// OpenAI's count of tokens.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: usize,
    pub(crate) completion_tokens: usize,
    pub(crate) total_tokens: usize,
}

impl Usage {
    pub(crate) fn new(prompt_tokens: usize, completion_tokens: usize) -> Self {
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
        }
    }
}

#[derive(Serialize)]
struct Models<'a> {
    object: &'static str,
    data: [Model<'a>; 1],
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    /// vLLM's name for the context.
    max_model_len: u32,
}

/// The answer of `/v1/models`.
pub(crate) fn models(app: &App) -> Vec<u8> {
    let model = Model {
        id: &app.settings.model_name,
        object: "model",
        created: app.started,
        owned_by: "ossmark",
        max_model_len: app.limits.max_context,
    };
    let mut out = Vec::new();
    crate::stream::write_json(
        &mut out,
        &Models {
            object: "list",
            data: [model],
        },
    );
    out
}
