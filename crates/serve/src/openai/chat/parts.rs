//! An answer to a conversation, taken apart: what is for the reader, what is thought, what is called.

use ossmark_harmony::{Channel, Delta, Parser};
use ossmark_protocol::TokenId;

use crate::stop_text::StopFinder;

/// One choice.
#[derive(Clone)]
pub(in crate::openai) struct ChoiceStream {
    parser: Parser,
    /// Ends the content.
    finder: StopFinder,
    /// In a stream: its role was sent.
    pub(super) role_sent: bool,
    /// Functions were offered.
    offered: bool,
    /// Messages that have begun.
    begun: usize,
    in_call: bool,
    /// Calls that have begun.
    pub(super) calls: usize,
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::openai) enum Kind {
    Content,
    Thoughts,
    /// A function's name: a call begins.
    Call,
    /// More of the arguments of the call that began last.
    Arguments,
}

/// Of functions' names as Harmony has them.
const NAMESPACE: &str = "functions.";

impl ChoiceStream {
    pub(in crate::openai) fn new(parser: Parser, finder: StopFinder, offered: bool) -> Self {
        Self {
            parser,
            finder,
            role_sent: false,
            offered,
            begun: 0,
            in_call: false,
            calls: 0,
        }
    }

    /// Takes the next tokens. Texts in their order, what is of one kind together.
    pub(in crate::openai) fn split(
        &mut self,
        tokens: &[TokenId],
        ended: bool,
    ) -> Vec<(Kind, String)> {
        let mut parts = Vec::new();
        for &token in tokens {
            let delta = self.parser.push(token);
            self.take(delta, &mut parts);
        }
        if ended {
            let delta = self.parser.finish();
            self.take(delta, &mut parts);
            add(
                &mut parts,
                Kind::Content,
                self.finder.push(String::new(), true),
            );
        }
        parts
    }

    fn take(&mut self, delta: Option<Delta>, parts: &mut Vec<(Kind, String)>) {
        if self.parser.messages() > self.begun {
            self.begun = self.parser.messages();
            let recipient = self.parser.header().recipient.as_deref();
            let name = recipient.and_then(|name| name.strip_prefix(NAMESPACE));
            self.in_call = self.offered && name.is_some();
            if let Some(name) = name.filter(|_| self.in_call) {
                self.calls += 1;
                parts.push((Kind::Call, name.to_owned()));
            }
        }
        let Some(Delta { channel, text, .. }) = delta else {
            return;
        };
        match self.kind(channel) {
            Kind::Content => add(parts, Kind::Content, self.finder.push(text, false)),
            kind => add(parts, kind, text),
        }
    }

    fn kind(&self, channel: Channel) -> Kind {
        match self.parser.is_content(channel) {
            _ if self.in_call => Kind::Arguments,
            true => Kind::Content,
            false => Kind::Thoughts,
        }
    }
}

fn add(parts: &mut Vec<(Kind, String)>, kind: Kind, text: String) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some((last, all)) if *last == kind => all.push_str(&text),
        _ => parts.push((kind, text)),
    }
}
