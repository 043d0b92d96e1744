//! How answers to conversations are written: whole, and as the chunks of a stream.

use ossmark_harmony::{Channel, Parser};
use ossmark_protocol::TokenId;
use serde::Serialize;

use crate::answer_delta::AnswerDelta;
use crate::answer_format::AnswerFormat;
use crate::openai::common::{Choice, ResponseEnvelope};
use crate::openai::logprobs::{self, TokenTexts};
use crate::stop_text::StopFinder;
use crate::text_tokens::is_content;

/// Writes the choices of one request.
pub(super) struct ChatStream {
    pub(super) envelope: ResponseEnvelope,
    pub(super) choices: Vec<ChoiceStream>,
    pub(super) return_token_ids: bool,
    /// Where log-probabilities were asked for.
    pub(super) logprobs: Option<TokenTexts>,
}

/// One choice.
#[derive(Clone)]
pub(in crate::openai) struct ChoiceStream {
    pub(in crate::openai) parser: Parser,
    /// In a stream: its role was sent.
    pub(in crate::openai) role_sent: bool,
    /// Ends the content.
    pub(in crate::openai) finder: StopFinder,
}

/// Texts in their order, each with whether it is content; the others are reasoning.
pub(in crate::openai) fn split_by_channel(
    answer: &mut ChoiceStream,
    tokens: &[TokenId],
    ended: bool,
) -> Vec<(bool, String)> {
    let ChoiceStream { parser, finder, .. } = answer;
    let mut parts: Vec<(bool, String)> = Vec::new();
    let mut add = |is_content: bool, text: String| match parts.last_mut() {
        _ if text.is_empty() => {}
        Some((last, all)) if *last == is_content => all.push_str(&text),
        _ => parts.push((is_content, text)),
    };
    let mut shown = |parser: &Parser, channel: Channel, text: String| {
        let is_content = is_content(parser, channel);
        match is_content {
            true => (true, finder.push(text, false)),
            false => (false, text),
        }
    };
    for &token in tokens {
        if let Some(delta) = parser.push(token) {
            let (is_content, text) = shown(parser, delta.channel, delta.text);
            add(is_content, text);
        }
    }
    if ended {
        if let Some(delta) = parser.finish() {
            let (is_content, text) = shown(parser, delta.channel, delta.text);
            add(is_content, text);
        }
        add(true, finder.push(String::new(), true));
    }
    parts
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
}

impl ChatDelta {
    fn new(is_content: bool, text: String) -> Self {
        let (content, reasoning_content) = match is_content {
            true => (Some(text), None),
            false => (None, Some(text)),
        };
        Self {
            role: None,
            content,
            reasoning_content,
        }
    }
}

impl AnswerFormat for ChatStream {
    fn write_event(&mut self, index: usize, delta: &AnswerDelta, out: &mut Vec<u8>) {
        self.envelope.count(delta);
        let finish_reason = delta.finish_reason.as_ref();
        let mut ids = self.return_token_ids.then_some(&delta.tokens[..]);
        let logprobs = self.logprobs.as_ref().filter(|_| !delta.tokens.is_empty());
        let mut logprobs = logprobs.map(|texts| logprobs::of_chat(texts, &delta.logprobs));
        let answer = &mut self.choices[index];
        let parts = split_by_channel(answer, &delta.tokens, finish_reason.is_some());
        if !std::mem::replace(&mut answer.role_sent, true) {
            let delta = ChatDelta {
                role: Some("assistant"),
                ..ChatDelta::new(true, String::new())
            };
            let choice = Choice::new(index, DeltaChoice { delta }, None, None);
            self.envelope.write_event(choice, out);
        }
        for (is_content, text) in parts {
            let delta = ChatDelta::new(is_content, text);
            let mut choice = Choice::new(index, DeltaChoice { delta }, None, ids.take());
            choice.logprobs = logprobs.take();
            self.envelope.write_event(choice, out);
        }
        if finish_reason.is_some() || ids.is_some() || logprobs.is_some() {
            let delta = ChatDelta::default();
            let mut last = Choice::new(index, DeltaChoice { delta }, finish_reason, ids);
            last.logprobs = logprobs;
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
            let texts = split_by_channel(&mut self.choices[index], &answer.tokens, true);
            let all = |wanted: bool| {
                let texts = texts.iter().filter(|(is_content, _)| *is_content == wanted);
                let text: String = texts.map(|(_, text)| text.as_str()).collect();
                (!text.is_empty()).then_some(text)
            };
            let message = ChatMessage {
                role: "assistant",
                content: all(true),
                reasoning_content: all(false),
            };
            let ids = self.return_token_ids.then_some(&answer.tokens[..]);
            let mut choice = Choice::new(
                index,
                MessageChoice { message },
                answer.finish_reason.as_ref(),
                ids,
            );
            let texts = self.logprobs.as_ref();
            choice.logprobs = texts.map(|texts| logprobs::of_chat(texts, &answer.logprobs));
            choices.push(choice);
        }
        self.envelope.write(&choices, true, out);
    }
}
