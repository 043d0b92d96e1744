//! The functions that a request offers, and calls and answers in its conversation.

use std::collections::HashSet;

use ossmark_harmony::{Function, Json, Namespace};
use serde::Deserialize;
use serde_json::Value;

use crate::error::ApiError;

/// OpenAI's limits.
const MOST_FUNCTIONS: usize = 128;
const MOST_NAME_BYTES: usize = 64;

#[derive(Deserialize)]
pub(super) struct Tool {
    r#type: String,
    function: Option<Offered>,
}

#[derive(Deserialize)]
struct Offered {
    name: String,
    description: Option<String>,
    parameters: Option<Json>,
    strict: Option<bool>,
}

/// The functions as the model is shown them; none where none are offered, or none may be called.
pub(super) fn functions(
    tools: Vec<Tool>,
    choice: Option<Value>,
) -> Result<Option<Namespace>, ApiError> {
    let shown = match choice.as_ref().map(|choice| (choice, choice.as_str())) {
        None | Some((_, Some("auto"))) => true,
        Some((_, Some("none"))) => false,
        Some((choice, _)) => {
            let message = format!(
                "tool_choice {choice}: which functions are called is the model's choice here; expected \"auto\" or \"none\""
            );
            return Err(ApiError::bad_param("tool_choice", message));
        }
    };
    let bad = |message: String| ApiError::bad_param("tools", message);
    if tools.len() > MOST_FUNCTIONS {
        let message = format!("{} tools, expected at most {MOST_FUNCTIONS}", tools.len());
        return Err(bad(message));
    }
    let mut names = HashSet::new();
    let mut functions = Vec::with_capacity(tools.len());
    for (n, tool) in tools.into_iter().enumerate() {
        let kind = tool.r#type;
        let Some(offered) = tool.function.filter(|_| kind == "function") else {
            return Err(bad(format!(
                "tool {n} is of type {kind}, expected function with its description"
            )));
        };
        check_name(&offered.name).map_err(|what| bad(format!("tool {n} {what}")))?;
        if offered.strict == Some(true) {
            return Err(bad(format!(
                "tool {n} is strict: nothing here keeps a model to a schema; leave it out"
            )));
        }
        if !names.insert(offered.name.clone()) {
            return Err(bad(format!("two tools are called {}", offered.name)));
        }
        functions.push(Function {
            name: offered.name,
            description: offered.description.unwrap_or_default(),
            parameters: offered.parameters,
        });
    }
    let namespace = Namespace::new(&functions).map_err(bad)?;
    Ok(namespace.filter(|_| shown))
}

/// A name stands in the header of a call.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    match (1..=MOST_NAME_BYTES).contains(&name.len()) && name.bytes().all(fine) {
        true => Ok(()),
        false => Err(format!(
            "has a name that is none: expected 1 to {MOST_NAME_BYTES} letters, digits, _, - and ."
        )),
    }
}
