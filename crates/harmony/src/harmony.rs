//! A tokenizer that is known to have Harmony's special tokens: prompts in, parsers out.

use std::{path::Path, sync::Arc};

use crate::{
    Bounds, Detokenizer, Error, Parser, PromptMessage, PromptPart, Result, SpecialTokens,
    TextStream, Tokenizer, conversation,
};

/// Harmony with one model's vocabulary.
pub struct Harmony {
    tokenizer: Tokenizer,
    special: SpecialTokens,
}

impl Harmony {
    /// Loads a `tokenizer.json`, or the one in a model directory.
    ///
    /// # Errors
    /// Those of [`Tokenizer::load`], and [`crate::Error::NoSpecialToken`].
    pub fn load(path: &Path) -> Result<Self> {
        Self::new(Tokenizer::load(path)?)
    }

    /// Looks the special tokens up.
    ///
    /// # Errors
    /// [`crate::Error::NoSpecialToken`].
    pub fn new(tokenizer: Tokenizer) -> Result<Self> {
        let special = SpecialTokens::find(tokenizer.vocabulary())?;
        Ok(Self { tokenizer, special })
    }

    /// The prompt for the answer to a conversation. The texts of the messages stay text.
    ///
    /// # Errors
    /// Those of [`Tokenizer::encode_text`].
    pub fn prompt(&self, messages: &[PromptMessage]) -> Result<Vec<u32>> {
        self.prompt_within(messages, &Bounds::NONE)
    }

    /// The same, ended early by `bounds`.
    ///
    /// # Errors
    /// Those of [`Harmony::prompt`], [`crate::Error::TooManyTokens`], [`crate::Error::Stopped`].
    pub fn prompt_within(
        &self,
        messages: &[PromptMessage],
        bounds: &Bounds<'_>,
    ) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for part in conversation(messages) {
            match part {
                PromptPart::SpecialToken(token) => ids.push(self.special.id(token)),
                PromptPart::Text(text) => {
                    let left = bounds.after(ids.len());
                    let more = self.tokenizer.encode_text_within(&text, &left);
                    ids.extend(more.map_err(|error| match error {
                        Error::TooManyTokens { .. } => Error::TooManyTokens {
                            most: bounds.most_tokens,
                        },
                        error => error,
                    })?);
                }
            }
            bounds.check(ids.len())?;
        }
        Ok(ids)
    }

    /// The prompt for these messages has at least so many tokens; told without encoding, 0 where nothing is known.
    pub fn least_tokens(&self, messages: &[PromptMessage]) -> usize {
        let texts = messages.iter().flat_map(PromptMessage::texts);
        let least = texts.map(|text| self.tokenizer.least_tokens(&text));
        // Each message begins with a special token.
        least.sum::<usize>() + messages.len()
    }

    /// A parser for what the model generates after [`Harmony::prompt`].
    pub fn parser(&self) -> Parser {
        Parser::new(Arc::clone(self.vocabulary()), self.special)
    }

    /// Generated ids as plain text in pieces; see [`TextStream::new`].
    pub fn text_stream(&self, keep_control: bool) -> TextStream {
        TextStream::new(Arc::clone(self.vocabulary()), keep_control)
    }

    /// The tokenizer itself.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Where the special tokens are.
    pub fn special(&self) -> SpecialTokens {
        self.special
    }

    fn vocabulary(&self) -> &Arc<Detokenizer> {
        self.tokenizer.vocabulary()
    }
}
