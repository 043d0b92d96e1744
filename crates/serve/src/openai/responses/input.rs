//! The input of a response: a text, or items of a conversation, our own among them as they left.

use serde::Deserialize;

use crate::error::ApiError;
use crate::openai::chat::Message;

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Input {
    Text(String),
    Items(Vec<Item>),
}

#[derive(Deserialize)]
pub(super) struct Item {
    r#type: Option<String>,
    role: Option<String>,
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    r#type: String,
    text: Option<String>,
}

/// As a conversation.
pub(super) fn messages(
    instructions: Option<String>,
    input: Input,
) -> Result<Vec<Message>, ApiError> {
    let mut all = Vec::new();
    all.extend(instructions.map(|text| Message::new("developer", text)));
    match input {
        Input::Text(text) => all.push(Message::new("user", text)),
        Input::Items(items) => {
            for (n, item) in items.into_iter().enumerate() {
                all.extend(message(n, item)?);
            }
        }
    }
    Ok(all)
}

/// None for earlier thoughts, which are not shown to the model again.
fn message(n: usize, item: Item) -> Result<Option<Message>, ApiError> {
    let bad = |what: String| ApiError::bad_param("input", format!("item {n} {what}"));
    match item.r#type.as_deref() {
        None | Some("message") => {}
        Some("reasoning") => return Ok(None),
        Some(other) => {
            return Err(bad(format!(
                "is of type {other}, expected message or reasoning"
            )));
        }
    }
    let role = item.role.ok_or_else(|| bad("has no role".into()))?;
    let text = match item.content {
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => {
            let mut all = String::new();
            for part in parts {
                match (part.r#type.as_str(), part.text) {
                    ("input_text" | "output_text" | "text", Some(text)) => all.push_str(&text),
                    (kind, _) => {
                        return Err(bad(format!("has a part of type {kind}, expected text")));
                    }
                }
            }
            all
        }
        None => return Err(bad("has no content".into())),
    };
    Ok(Some(Message::new(&role, text)))
}
