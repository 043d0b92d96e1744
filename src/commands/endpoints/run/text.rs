//! The text of an answer as a client sees it: what a completion's tokens say, or with the chat API reasoning and content.

use std::sync::Arc;

use ossmark_harmony::{Delta, Detokenizer, Parser, TextStream};
use ossmark_protocol::{End, TokenId};

/// How answers are read.
pub(super) struct Texts {
    pub(super) vocabulary: Arc<Detokenizer>,
    /// Before an answer of the chat API.
    pub(super) chat: Option<Parser>,
    /// What prompts of the chat API stand for; else none.
    pub(super) messages: Arc<[Box<str>]>,
}

/// An answer of which nothing has been seen.
pub(super) enum Reader {
    Completion(TextStream),
    Chat(Box<Parser>),
}

/// Of each the first fragment and what followed.
#[derive(Default)]
pub(super) struct Pieces {
    pub(super) thoughts: [String; 2],
    pub(super) content: [String; 2],
}

impl Texts {
    pub(super) fn reader(&self) -> Reader {
        match &self.chat {
            None => Reader::Completion(TextStream::new(Arc::clone(&self.vocabulary), true)),
            Some(parser) => Reader::Chat(Box::new(parser.clone())),
        }
    }

    /// What the user says, where a prompt is the place of it.
    pub(super) fn said(&self, prompt: &[TokenId]) -> Option<&str> {
        let place = *prompt.first()? as usize;
        self.messages.get(place).map(|said| &**said)
    }

    /// What a client sees of tokens, of which the last may be the stop token.
    pub(super) fn visible<'a>(&self, tokens: &'a [TokenId], end: Option<&End>) -> &'a [TokenId] {
        match tokens.split_last() {
            Some((last, before)) if end == Some(&End::Stop) && self.vocabulary.is_added(*last) => {
                before
            }
            _ => tokens,
        }
    }

    /// The pieces of a whole answer; `first`: how many of its tokens came with the first text.
    pub(super) fn pieces(&self, tokens: &[TokenId], end: &End, first: usize) -> Pieces {
        let tokens = self.visible(tokens, Some(end));
        let (first, rest) = tokens.split_at(first.min(tokens.len()));
        let mut pieces = Pieces::default();
        match self.reader() {
            Reader::Completion(mut stream) => {
                for (piece, ids) in pieces.content.iter_mut().zip([first, rest]) {
                    piece.extend(ids.iter().map(|id| stream.push(*id)));
                }
                pieces.content[1].push_str(&stream.finish());
            }
            Reader::Chat(mut parser) => {
                for (at, ids) in [first, rest].into_iter().enumerate() {
                    for id in ids {
                        let delta = parser.push(*id);
                        pieces.take(at, &parser, delta);
                    }
                }
                let delta = parser.finish();
                pieces.take(1, &parser, delta);
            }
        }
        pieces
    }
}

impl Pieces {
    fn take(&mut self, at: usize, parser: &Parser, delta: Option<Delta>) {
        if let Some(Delta { text, channel, .. }) = delta {
            match parser.is_content(channel) {
                true => self.content[at].push_str(&text),
                // The client keeps the first fragment of the reasoning apart even where content came before it.
                false if self.thoughts[0].is_empty() => self.thoughts[0] = text,
                false => self.thoughts[at].push_str(&text),
            }
        }
    }
}

impl Reader {
    /// Whether these tokens complete a text.
    pub(super) fn has_text(&mut self, ids: &[TokenId]) -> bool {
        ids.iter().any(|id| match self {
            Self::Completion(stream) => !stream.push(*id).is_empty(),
            Self::Chat(parser) => parser.push(*id).is_some(),
        })
    }
}
