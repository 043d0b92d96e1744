//! How answers to conversations are written: whole, and as the pieces of a stream.

use ossmark_harmony::{Channel, Parser};
use ossmark_protocol::TokenId;
use serde::Serialize;

use crate::answer_buffer::AnswerDelta;
use crate::format::Format;
use crate::openai::common::{Choice, Envelope};

/// Writes the choices of one request.
pub(super) struct Chatting {
    pub(super) envelope: Envelope,
    pub(super) answers: Vec<Growing>,
    pub(super) ids: bool,
}

/// One choice.
#[derive(Clone)]
pub(super) struct Growing {
    pub(super) parser: Parser,
    /// In a stream: its role was told.
    pub(super) told: bool,
}

/// Texts in their order, each with whether it is for the reader; the others are thoughts.
fn said(parser: &mut Parser, tokens: &[TokenId], ended: bool) -> Vec<(bool, String)> {
    let mut said: Vec<(bool, String)> = Vec::new();
    let mut add = |parser: &Parser, channel: Channel, text: String| {
        // A preamble is commentary for the reader; a tool call is for a tool that nobody offered.
        let for_reader = match channel {
            Channel::Final => true,
            Channel::Commentary => parser.header().recipient.is_none(),
            Channel::Analysis | Channel::Other => false,
        };
        match said.last_mut() {
            Some((last, all)) if *last == for_reader => all.push_str(&text),
            _ => said.push((for_reader, text)),
        }
    };
    for &token in tokens {
        if let Some(delta) = parser.push(token) {
            add(parser, delta.channel, delta.text);
        }
    }
    if ended && let Some(delta) = parser.finish() {
        add(parser, delta.channel, delta.text);
    }
    said
}

#[derive(Serialize)]
struct Whole {
    message: Said,
}

#[derive(Serialize)]
struct Said {
    role: &'static str,
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
}

#[derive(Serialize)]
struct Piece {
    delta: Delta,
}

#[derive(Serialize, Default)]
struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
}

impl Delta {
    fn new(for_reader: bool, text: String) -> Self {
        let (content, reasoning_content) = match for_reader {
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

impl Format for Chatting {
    fn event(&mut self, index: usize, delta: &AnswerDelta, out: &mut Vec<u8>) {
        self.envelope.count(delta);
        let ended = delta.finish_reason.as_ref();
        let mut ids = self.ids.then_some(&delta.tokens[..]);
        let answer = &mut self.answers[index];
        let deltas = said(&mut answer.parser, &delta.tokens, ended.is_some());
        if !std::mem::replace(&mut answer.told, true) {
            let delta = Delta {
                role: Some("assistant"),
                ..Delta::new(true, String::new())
            };
            let choice = Choice::new(index, Piece { delta }, None, None);
            self.envelope.write_event(choice, out);
        }
        for (for_reader, text) in deltas {
            let delta = Delta::new(for_reader, text);
            let choice = Choice::new(index, Piece { delta }, None, ids.take());
            self.envelope.write_event(choice, out);
        }
        if ended.is_some() || ids.is_some() {
            let delta = Delta::default();
            let last = Choice::new(index, Piece { delta }, ended, ids);
            self.envelope.write_event(last, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.envelope.write_usage(out);
    }

    fn whole(&mut self, answers: &[AnswerDelta], out: &mut Vec<u8>) {
        let mut choices = Vec::with_capacity(answers.len());
        for (index, answer) in answers.iter().enumerate() {
            self.envelope.count(answer);
            let texts = said(&mut self.answers[index].parser, &answer.tokens, true);
            let all = |wanted: bool| {
                let texts = texts.iter().filter(|(for_reader, _)| *for_reader == wanted);
                let text: String = texts.map(|(_, text)| text.as_str()).collect();
                (!text.is_empty()).then_some(text)
            };
            let message = Said {
                role: "assistant",
                content: all(true),
                reasoning_content: all(false),
            };
            let ids = self.ids.then_some(&answer.tokens[..]);
            choices.push(Choice::new(
                index,
                Whole { message },
                answer.finish_reason.as_ref(),
                ids,
            ));
        }
        self.envelope.write(&choices, true, out);
    }
}
