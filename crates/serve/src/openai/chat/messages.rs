//! A conversation as clients send it, and as Harmony has it.

use std::collections::HashMap;

use ossmark_harmony::{Developer, Effort, Namespace, PromptMessage, System};
use serde::Deserialize;

use super::tools::check_name;
use crate::error::ApiError;

#[derive(Deserialize, Default)]
pub(in crate::openai) struct Message {
    role: String,
    content: Option<Content>,
    tool_calls: Option<Vec<ToolCall>>,
    /// Which call a tool answers.
    tool_call_id: Option<String>,
    /// Which function it is, where a client says so.
    name: Option<String>,
    /// Earlier thoughts, as we and SGLang call them, and as vLLM does.
    reasoning_content: Option<String>,
    reasoning: Option<String>,
}

impl Message {
    /// A plain one.
    pub(in crate::openai) fn new(role: &str, text: String) -> Self {
        Self {
            role: role.to_owned(),
            content: Some(Content::Text(text)),
            ..Self::default()
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

#[derive(Deserialize)]
struct ToolCall {
    id: Option<String>,
    function: Option<Called>,
}

#[derive(Deserialize)]
struct Called {
    name: String,
    arguments: String,
}

/// The conversation as Harmony has it, with its system message.
pub(in crate::openai) fn prompt_messages(
    date: &str,
    effort: Effort,
    functions: Option<Namespace>,
    messages: Vec<Message>,
) -> Result<Vec<PromptMessage>, ApiError> {
    let bad = |message: String| ApiError::bad_param("messages", message);
    if messages.is_empty() {
        return Err(bad("no messages: give at least one".into()));
    }
    let mut prompt = vec![PromptMessage::System(System::gpt_oss(date, effort))];
    let is_answer = |m: &Message| m.role == "assistant" && m.tool_calls().is_empty();
    // Thoughts are shown again while the calls that they led to go on: as OpenAI's own template of gpt-oss, not once there
    // has been an answer.
    let last_answer = messages.iter().rposition(is_answer);
    let mut calls = HashMap::new();
    for (n, message) in messages.into_iter().enumerate() {
        let thoughts = last_answer.is_none_or(|answer| answer < n);
        let added = message.prompt_messages(thoughts, &mut calls);
        prompt.extend(added.map_err(|what| bad(format!("message {n} {what}")))?);
    }
    match (functions, prompt.get_mut(1)) {
        (None, _) => {}
        (functions, Some(PromptMessage::Developer(developer))) => developer.functions = functions,
        (functions, _) => {
            let developer = Developer {
                instructions: None,
                functions,
            };
            prompt.insert(1, PromptMessage::Developer(developer));
        }
    }
    Ok(prompt)
}

impl Message {
    fn tool_calls(&self) -> &[ToolCall] {
        self.tool_calls.as_deref().unwrap_or_default()
    }

    /// `calls` are those before it, by their ids. The error says what is wrong with the message.
    fn prompt_messages(
        mut self,
        thoughts: bool,
        calls: &mut HashMap<String, String>,
    ) -> Result<Vec<PromptMessage>, String> {
        let called = self.tool_calls.take().unwrap_or_default();
        if !called.is_empty() && self.role != "assistant" {
            return Err(format!("is by {} and calls tools", self.role));
        }
        let reasoning = self.reasoning_content.or(self.reasoning);
        let text = match self.content {
            Some(content) => content.text()?,
            // An answer that was cut off while it was thought about comes back as it left, and so does a call.
            None if reasoning.is_some() || !called.is_empty() => String::new(),
            None => return Err("has no content".into()),
        };
        Ok(match self.role.as_str() {
            // What gpt-oss calls the system message says what the model is; instructions are the developer's.
            "system" | "developer" => vec![PromptMessage::Developer(text.into())],
            "user" => vec![PromptMessage::User(text)],
            "assistant" if called.is_empty() => vec![PromptMessage::Assistant(text)],
            "assistant" => {
                let reasoning = reasoning.filter(|text| thoughts && !text.is_empty());
                let preamble = Some(text).filter(|text| !text.is_empty());
                let mut prompt: Vec<PromptMessage> =
                    reasoning.map(PromptMessage::Thoughts).into_iter().collect();
                prompt.extend(preamble.map(PromptMessage::Preamble));
                for call in called {
                    prompt.push(call.prompt_message(calls)?);
                }
                prompt
            }
            "tool" => {
                let id = self.tool_call_id.unwrap_or_default();
                let name = calls.get(&id).cloned().or(self.name);
                let name =
                    name.ok_or("answers a call that no message before it makes (tool_call_id)")?;
                check_name(&name)?;
                vec![PromptMessage::Answer { name, text }]
            }
            role => {
                return Err(format!(
                    "is by {role}, expected system, developer, user, assistant or tool"
                ));
            }
        })
    }
}

impl Content {
    fn text(self) -> Result<String, String> {
        let parts = match self {
            Self::Text(text) => return Ok(text),
            Self::Parts(parts) => parts,
        };
        let mut text = String::new();
        for Part {
            r#type: kind,
            text: part,
        } in parts
        {
            let Some(part) = part.filter(|_| kind == "text") else {
                return Err(format!("has a part of type {kind}, expected text"));
            };
            text.push_str(&part);
        }
        Ok(text)
    }
}

impl ToolCall {
    fn prompt_message(self, calls: &mut HashMap<String, String>) -> Result<PromptMessage, String> {
        let Some(Called { name, arguments }) = self.function else {
            return Err("calls a tool that is no function".into());
        };
        check_name(&name)?;
        if let Some(id) = self.id {
            calls.insert(id, name.clone());
        }
        Ok(PromptMessage::Call { name, arguments })
    }
}
