//! OpenAI's `GET /v1/models`.

use serde::Serialize;

use crate::answer_format::write_json;
use crate::state::App;

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
pub(crate) fn models(app: &App) -> Vec<u8> {
    let model = Model {
        id: &app.settings.model_name,
        object: "model",
        created: app.started,
        owned_by: "ossmark",
        max_model_len: app.limits.max_context,
    };
    let list = Models {
        object: "list",
        data: [model],
    };
    let mut out = Vec::new();
    write_json(&mut out, &list);
    out
}
