//! How answers to conversations are written: whole, and as the chunks of a stream.

use serde::Serialize;

use super::parts::{ChoiceStream, Kind};
use crate::answer_delta::{AnswerDelta, FinishReason};
use crate::answer_format::AnswerFormat;
use crate::openai::common::{Choice, ResponseEnvelope};
use crate::openai::logprobs::{self, TokenTexts};

/// Writes the choices of one request.
pub(super) struct ChatStream {
    pub(super) envelope: ResponseEnvelope,
    pub(super) choices: Vec<ChoiceStream>,
    pub(super) return_token_ids: bool,
    /// Where log-probabilities were asked for.
    pub(super) logprobs: Option<TokenTexts>,
    /// What the ids of calls begin with.
    pub(super) call_id: String,
}

#[derive(Serialize)]
struct MessageChoice {
    message: ChatMessage,
}

#[derive(Serialize)]
struct ChatMessage {
    role: &'static str,
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
}

#[derive(Serialize)]
struct DeltaChoice {
    delta: ChatDelta,
}

#[derive(Serialize, Default)]
struct ChatDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCall; 1]>,
}

/// A call; in a stream its name comes first, then the arguments piece by piece.
#[derive(Serialize)]
struct ToolCall {
    /// Which of the calls, in a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: Called,
}

#[derive(Serialize)]
struct Called {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    arguments: String,
}

impl ToolCall {
    fn begin(id: String, name: String) -> Self {
        Self {
            index: None,
            id: Some(id),
            r#type: Some("function"),
            function: Called {
                name: Some(name),
                arguments: String::new(),
            },
        }
    }

    fn more(arguments: String) -> Self {
        Self {
            index: None,
            id: None,
            r#type: None,
            function: Called {
                name: None,
                arguments,
            },
        }
    }
}

/// The id of a choice's call: what clients send back with its answer.
fn call_id(prefix: &str, index: usize, call: usize) -> String {
    format!("{prefix}-{index}-{call}")
}

/// OpenAI's name for an answer that stopped at a call.
fn reason_of_calls(answer: &ChoiceStream, reason: Option<&FinishReason>) -> Option<&'static str> {
    let stopped = matches!(reason, Some(FinishReason::Stop(_)));
    (stopped && answer.calls > 0).then_some("tool_calls")
}

impl AnswerFormat for ChatStream {
    fn write_event(&mut self, index: usize, delta: &AnswerDelta, out: &mut Vec<u8>) {
        self.envelope.count(delta);
        let finish_reason = delta.finish_reason.as_ref();
        let mut ids = self.return_token_ids.then_some(&delta.tokens[..]);
        let logprobs = self.logprobs.as_ref().filter(|_| !delta.tokens.is_empty());
        let mut logprobs = logprobs.map(|texts| logprobs::of_chat(texts, &delta.logprobs));
        let answer = &mut self.choices[index];
        let mut call = answer.calls;
        let parts = answer.split(&delta.tokens, finish_reason.is_some());
        if !std::mem::replace(&mut answer.role_sent, true) {
            let delta = ChatDelta {
                role: Some("assistant"),
                content: Some(String::new()),
                ..ChatDelta::default()
            };
            let choice = Choice::new(index, DeltaChoice { delta }, None, None);
            self.envelope.write_event(choice, out);
        }
        for (kind, text) in parts {
            let mut delta = ChatDelta::default();
            let mut called = |part: ToolCall, call: usize| {
                delta.tool_calls = Some([ToolCall {
                    index: Some(call - 1),
                    ..part
                }]);
            };
            match kind {
                Kind::Call => {
                    let id = call_id(&self.call_id, index, call);
                    call += 1;
                    called(ToolCall::begin(id, text), call);
                }
                Kind::Arguments => called(ToolCall::more(text), call),
                Kind::Content => delta.content = Some(text),
                Kind::Thoughts => delta.reasoning_content = Some(text),
            }
            let mut choice = Choice::new(index, DeltaChoice { delta }, None, ids.take());
            choice.logprobs = logprobs.take();
            self.envelope.write_event(choice, out);
        }
        if finish_reason.is_some() || ids.is_some() || logprobs.is_some() {
            let delta = ChatDelta::default();
            let mut last = Choice::new(index, DeltaChoice { delta }, finish_reason, ids);
            last.logprobs = logprobs;
            let reason = reason_of_calls(&self.choices[index], finish_reason);
            last.finish_reason = reason.or(last.finish_reason);
            self.envelope.write_event(last, out);
        }
    }

    fn write_end(&mut self, out: &mut Vec<u8>) {
        self.envelope.write_usage(out);
    }

    fn write_response(&mut self, answers: &[AnswerDelta], out: &mut Vec<u8>) {
        let mut choices = Vec::with_capacity(answers.len());
        for (index, answer) in answers.iter().enumerate() {
            self.envelope.count(answer);
            let parts = self.choices[index].split(&answer.tokens, true);
            let message = message(parts, |call| call_id(&self.call_id, index, call));
            let ids = self.return_token_ids.then_some(&answer.tokens[..]);
            let reason = answer.finish_reason.as_ref();
            let mut choice = Choice::new(index, MessageChoice { message }, reason, ids);
            let of_calls = reason_of_calls(&self.choices[index], reason);
            choice.finish_reason = of_calls.or(choice.finish_reason);
            let texts = self.logprobs.as_ref();
            choice.logprobs = texts.map(|texts| logprobs::of_chat(texts, &answer.logprobs));
            choices.push(choice);
        }
        self.envelope.write(&choices, true, out);
    }
}

fn message(parts: Vec<(Kind, String)>, call_id: impl Fn(usize) -> String) -> ChatMessage {
    let (mut content, mut reasoning) = (String::new(), String::new());
    let mut tool_calls: Vec<ToolCall> = Vec::new();
    for (kind, text) in parts {
        match kind {
            Kind::Content => content += &text,
            Kind::Thoughts => reasoning += &text,
            Kind::Call => tool_calls.push(ToolCall::begin(call_id(tool_calls.len()), text)),
            Kind::Arguments => {
                if let Some(call) = tool_calls.last_mut() {
                    call.function.arguments += &text;
                }
            }
        }
    }
    ChatMessage {
        role: "assistant",
        content: Some(content).filter(|text| !text.is_empty()),
        reasoning_content: Some(reasoning).filter(|text| !text.is_empty()),
        tool_calls,
    }
}
