//! Which token completes a text that ends an answer. Runs where the engine's events come in, so that a request ends with that
//! token; the text itself is cut by whoever writes it, with a finder of its own.

use ossmark_harmony::{Delta, Parser};
use ossmark_protocol::TokenId;

use crate::model_tokenizer::IncrementalDetokenizer;
use crate::stop_text::{StopFinder, StopTexts};

/// Follows an answer token by token.
pub(crate) enum StopDetector {
    /// In all of its text.
    Text(IncrementalDetokenizer),
    /// In what the reader of a conversation is told.
    Content { parser: Parser, finder: StopFinder },
}

impl StopDetector {
    /// In the text of this decoder; none without texts to look for.
    pub(crate) fn text(decoder: IncrementalDetokenizer, stops: &StopTexts) -> Option<Box<Self>> {
        (!stops.is_empty()).then(|| Box::new(Self::Text(decoder)))
    }

    /// In the content of an answer to a conversation.
    pub(crate) fn content(parser: &Parser, stops: &StopTexts) -> Option<Box<Self>> {
        (!stops.is_empty()).then(|| {
            let finder = StopFinder::new(stops.clone());
            Box::new(Self::Content {
                parser: parser.clone(),
                finder,
            })
        })
    }

    /// Takes the next token; the text that it completes.
    pub(crate) fn push(&mut self, token: TokenId) -> Option<&str> {
        match self {
            Self::Text(decoder) => {
                decoder.push(&[token], false);
                decoder.stopped()
            }
            Self::Content { parser, finder } => {
                if let Some(Delta { text, channel, .. }) = parser.push(token)
                    && parser.is_content(channel)
                {
                    finder.push(text, false);
                }
                finder.found()
            }
        }
    }
}
