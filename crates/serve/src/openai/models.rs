//! OpenAI's `GET /v1/models` and `/v1/models/{id}`.

use axum::http::StatusCode;
use serde::Serialize;

use crate::answer_format::write_json;
use crate::error::ApiError;
use crate::state::AppState;

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

fn the_model(state: &AppState) -> Model<'_> {
    Model {
        id: &state.settings.model_name,
        object: "model",
        created: state.started,
        owned_by: "ossmark",
        max_model_len: state.limits.max_context,
    }
}

/// The one model, by its name.
pub(crate) fn model(state: &AppState, id: &str) -> Result<Vec<u8>, ApiError> {
    let model = the_model(state);
    if id != model.id {
        let message = format!("there is no model {id:?} here, only {:?}", model.id);
        return Err(ApiError::new(StatusCode::NOT_FOUND, message));
    }
    let mut out = Vec::new();
    write_json(&mut out, &model);
    Ok(out)
}

/// The one model in a list, as JSON.
pub(crate) fn models(state: &AppState) -> Vec<u8> {
    let list = Models {
        object: "list",
        data: [the_model(state)],
    };
    let mut out = Vec::new();
    write_json(&mut out, &list);
    out
}
