//! A conversation as clients send it, and as Harmony has it.

use ossmark_harmony::{Effort, System, Turn};
use serde::Deserialize;
use serde_json::Value;

use crate::error::ApiError;

#[derive(Deserialize)]
pub(in crate::openai) struct Message {
    role: String,
    content: Option<Content>,
    tool_calls: Option<Vec<Value>>,
    /// Earlier thoughts, as we and SGLang call them, and as vLLM does. They are not shown to the model again.
    reasoning_content: Option<String>,
    reasoning: Option<String>,
}

impl Message {
    /// A plain one.
    pub(in crate::openai) fn new(role: &str, text: String) -> Self {
        Self {
            role: role.to_owned(),
            content: Some(Content::Text(text)),
            tool_calls: None,
            reasoning_content: None,
            reasoning: None,
        }
    }
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

/// The conversation as Harmony has it, with its system message.
pub(in crate::openai) fn turns(
    date: &str,
    effort: Effort,
    messages: Vec<Message>,
) -> Result<Vec<Turn>, ApiError> {
    let bad = |message: String| ApiError::bad_param("messages", message);
    if messages.is_empty() {
        return Err(bad("no messages: give at least one".into()));
    }
    let mut turns = vec![Turn::System(System::gpt_oss(date, effort))];
    for (n, message) in messages.into_iter().enumerate() {
        if message.tool_calls.is_some_and(|calls| !calls.is_empty()) {
            return Err(bad(format!(
                "message {n} calls tools, which are not supported"
            )));
        }
        let mut text = String::new();
        match message.content {
            Some(Content::Text(content)) => text = content,
            Some(Content::Parts(parts)) => {
                for Part { r#type, text: part } in parts {
                    let Some(part) = part.filter(|_| r#type == "text") else {
                        return Err(bad(format!(
                            "message {n} has a part of type {type}, expected text",
                            r#type = r#type
                        )));
                    };
                    text.push_str(&part);
                }
            }
            // An answer that was cut off while it was thought about comes back as it left.
            None if message.role == "assistant"
                && (message.reasoning_content.is_some() || message.reasoning.is_some()) => {}
            None => return Err(bad(format!("message {n} has no content"))),
        }
        turns.push(match message.role.as_str() {
            // What gpt-oss calls the system message says what the model is; instructions are the developer's.
            "system" | "developer" => Turn::Developer(text),
            "user" => Turn::User(text),
            "assistant" => Turn::Assistant(text),
            role => {
                let message = format!(
                    "message {n} is by {role}, expected system, developer, user or assistant"
                );
                return Err(bad(message));
            }
        });
    }
    Ok(turns)
}
