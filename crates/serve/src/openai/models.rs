//! OpenAI's `GET /v1/models`.

use serde::Serialize;

use crate::answer_format::write_json;
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

/// The one model, as JSON.
pub(crate) fn models(state: &AppState) -> Vec<u8> {
    let model = Model {
        id: &state.settings.model_name,
        object: "model",
        created: state.started,
        owned_by: "ossmark",
        max_model_len: state.limits.max_context,
    };
    let list = Models {
        object: "list",
        data: [model],
    };
    let mut out = Vec::new();
    write_json(&mut out, &list);
    out
}
