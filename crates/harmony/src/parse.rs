//! What a model generated, as messages by channel, token by token.
//!
//! Owns: the state of one answer. Does not own: when generation stops. Models do not always keep to the format (about 4 % of
//! headers are malformed at temperature 1.0, ggml-org/llama.cpp #27720), so nothing here fails: a missing `<|end|>`,
//! `<|start|>` or `<|message|>` is repaired, a header that is none is text, special tokens in a text are dropped, and ids that
//! no token has are passed over.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Detokenizer, SpecialToken, SpecialTokens, Utf8Stream};

/// Where a message's text belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// The chain of thought.
    Analysis,
    /// Tool calls and what is said about them.
    Commentary,
    /// The answer. Also text that no channel was named for: there is nothing else that it could be.
    Final,
    /// A channel of another name, or a message in another's role.
    Other,
}

/// What stood before a message's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Where the text belongs.
    pub channel: Channel,
    /// Whom it is for: a tool's name.
    pub recipient: Option<String>,
}

/// A piece of text that one token completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Which message it belongs to, from 0.
    pub message: usize,
    /// That message's channel.
    pub channel: Channel,
    /// Never empty; whole characters.
    pub text: String,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What stood before its text.
    pub header: Header,
    /// All of its text.
    pub text: String,
}

/// A header longer than this is text whose header is missing: the longest real one names a tool.
const MAX_HEADER_BYTES: usize = 256;

/// The state of one answer.
#[derive(Clone, Debug)]
pub struct Parser {
    vocabulary: Arc<Detokenizer>,
    special: SpecialTokens,
    /// Messages that were begun.
    begun: usize,
    header: Header,
    utf8: Utf8Stream,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Header(PartialHeader),
    Body,
}

/// A header so far.
#[derive(Clone, Debug, Default)]
struct PartialHeader {
    /// After a `<|start|>` that was generated: the role has to come. The prompt itself ends with the role.
    wants_role: bool,
    /// Before `<|channel|>`.
    before: Vec<u8>,
    /// After it.
    channel: Option<Vec<u8>>,
}

impl Parser {
    /// The state after a prompt that ends with `<|start|>assistant`.
    pub fn new(vocabulary: Arc<Detokenizer>, special: SpecialTokens) -> Self {
        Self {
            vocabulary,
            special,
            begun: 0,
            header: Header {
                channel: Channel::Final,
                recipient: None,
            },
            utf8: Utf8Stream::default(),
            state: State::Header(PartialHeader::default()),
        }
    }

    /// Of an answer that is text from its first token on, of whoever knows no Harmony.
    pub fn of_text(self) -> Self {
        Self {
            begun: 1,
            state: State::Body,
            ..self
        }
    }

    /// The text that this token completes, if any.
    pub fn push(&mut self, id: u32) -> Option<Delta> {
        let bytes_of = Arc::clone(&self.vocabulary);
        match self.special.of(id) {
            Some(token) => self.token(token),
            None if bytes_of.is_added(id) => None,
            None => self.bytes(bytes_of.bytes(id)?),
        }
    }

    /// The end of the tokens, whether the answer was complete or not.
    pub fn finish(&mut self) -> Option<Delta> {
        self.end_message(PartialHeader::default())
    }

    /// Whether what stands in the message that began last is for the reader: a preamble is commentary, a tool call is not.
    pub fn is_content(&self, channel: Channel) -> bool {
        match channel {
            Channel::Final => true,
            Channel::Commentary => self.header.recipient.is_none(),
            Channel::Analysis | Channel::Other => false,
        }
    }

    /// How many messages have begun.
    pub fn messages(&self) -> usize {
        self.begun
    }

    /// The header of the last message that began.
    pub fn header(&self) -> &Header {
        &self.header
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<Delta> {
        let text = match &mut self.state {
            State::Body => self.utf8.push(bytes),
            State::Header(partial) => {
                partial.extend(bytes);
                if partial.bytes() <= MAX_HEADER_BYTES {
                    return None;
                }
                let partial = std::mem::take(partial);
                self.begin(partial.header_of_text());
                self.utf8.push(partial.text_without_message())
            }
        };
        self.delta(text)
    }

    fn token(&mut self, token: SpecialToken) -> Option<Delta> {
        match (token, &mut self.state) {
            (SpecialToken::Start, _) => self.end_message(PartialHeader {
                wants_role: true,
                ..PartialHeader::default()
            }),
            (SpecialToken::End | SpecialToken::Return | SpecialToken::Call, _) => {
                self.end_message(PartialHeader::default())
            }
            (SpecialToken::Channel, State::Header(partial)) => {
                partial.channel = Some(Vec::new());
                None
            }
            // The message's end is missing.
            (SpecialToken::Channel, State::Body) => self.end_message(PartialHeader {
                channel: Some(Vec::new()),
                ..PartialHeader::default()
            }),
            (SpecialToken::Message, State::Header(partial)) => {
                let header = partial.header();
                self.begin(header);
                None
            }
            (SpecialToken::Constrain, State::Header(partial)) => {
                partial.extend(b" ");
                None
            }
            (SpecialToken::Message | SpecialToken::Constrain, State::Body) => None,
        }
    }

    fn begin(&mut self, header: Header) {
        self.begun += 1;
        self.header = header;
        self.state = State::Body;
    }

    fn end_message(&mut self, next: PartialHeader) -> Option<Delta> {
        let text = match std::mem::replace(&mut self.state, State::Header(next)) {
            State::Body => self.utf8.finish(),
            State::Header(partial) => {
                let text = String::from_utf8_lossy(partial.text_without_message());
                if text.trim().is_empty() {
                    return None;
                }
                self.begun += 1;
                self.header = partial.header_of_text();
                text.into_owned()
            }
        };
        self.delta(text)
    }

    fn delta(&self, text: String) -> Option<Delta> {
        (!text.is_empty()).then(|| Delta {
            message: self.begun - 1,
            channel: self.header.channel,
            text,
        })
    }
}

impl PartialHeader {
    fn extend(&mut self, bytes: &[u8]) {
        self.channel
            .as_mut()
            .unwrap_or(&mut self.before)
            .extend_from_slice(bytes);
    }

    fn bytes(&self) -> usize {
        self.before.len() + self.channel.as_ref().map_or(0, Vec::len)
    }

    /// `[role] [to=recipient] [<|channel|>name [to=recipient] [type]]`. Source: OpenAI's cookbook, "OpenAI harmony response
    /// format"; openai-harmony writes the recipient in either place.
    fn header(&self) -> Header {
        let before = String::from_utf8_lossy(&self.before);
        let channel = self.channel.as_deref().map(String::from_utf8_lossy);
        let words = before
            .split_whitespace()
            .chain(channel.iter().flat_map(|c| c.split_whitespace()));
        let recipient = words
            .filter_map(|word| word.strip_prefix("to="))
            .find(|name| !name.is_empty())
            .map(str::to_owned);
        let others_role = self.wants_role && !before.trim_start().starts_with(ASSISTANT);
        let named = channel.as_deref().map(|c| {
            NAMES
                .iter()
                .find(|(name, _)| c.trim_start().starts_with(name))
        });
        let channel = match named {
            _ if others_role => Channel::Other,
            None => Channel::Final,
            Some(None) => Channel::Other,
            Some(Some((_, channel))) => *channel,
        };
        Header { channel, recipient }
    }

    /// The header when `<|message|>` never came: what looks like a recipient may be a word of the text.
    fn header_of_text(&self) -> Header {
        Header {
            recipient: None,
            ..self.header()
        }
    }

    /// What is left as text when `<|message|>` never came.
    fn text_without_message(&self) -> &[u8] {
        let strip = |text: &'_ [u8], names: &[&str]| {
            let start = text.len() - text.trim_ascii_start().len();
            let name = names
                .iter()
                .find(|name| text[start..].starts_with(name.as_bytes()));
            name.map(|name| start + name.len())
        };
        match &self.channel {
            Some(text) => {
                let names = NAMES.map(|(name, _)| name);
                let from = strip(text, &names).unwrap_or(text.len());
                text[from..].trim_ascii_start()
            }
            None if self.wants_role => {
                let from = strip(&self.before, &[ASSISTANT]).unwrap_or(self.before.len());
                &self.before[from..]
            }
            None => &self.before,
        }
    }
}

const ASSISTANT: &str = "assistant";
/// What a channel's name begins with: models append to it ("final answer", "analysis to=python").
const NAMES: [(&str, Channel); 3] = [
    ("analysis", Channel::Analysis),
    ("commentary", Channel::Commentary),
    ("final", Channel::Final),
];

/// All messages of an answer.
pub fn parse(mut parser: Parser, ids: &[u32]) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for step in ids.iter().map(Some).chain([None]) {
        let delta = match step {
            Some(&id) => parser.push(id),
            None => parser.finish(),
        };
        if messages.len() < parser.messages() {
            messages.push(Message {
                header: parser.header().clone(),
                text: String::new(),
            });
        }
        if let (Some(delta), Some(message)) = (delta, messages.last_mut()) {
            message.text.push_str(&delta.text);
        }
    }
    messages
}
