//! A tokenizer that is known to have Harmony's control tokens: prompts in, parsers out.

use std::{path::Path, sync::Arc};

use crate::{
    Bounds, Controls, Detokenizer, Error, Parser, Piece, Result, TextStream, Tokenizer, Turn,
    conversation,
};

/// Harmony with one model's vocabulary.
pub struct Harmony {
    tokenizer: Tokenizer,
    controls: Controls,
}

impl Harmony {
    /// Loads a `tokenizer.json`, or the one in a model directory.
    ///
    /// # Errors
    /// Those of [`Tokenizer::load`], and [`crate::Error::NoControlToken`].
    pub fn load(path: &Path) -> Result<Self> {
        Self::new(Tokenizer::load(path)?)
    }

    /// Looks the control tokens up.
    ///
    /// # Errors
    /// [`crate::Error::NoControlToken`].
    pub fn new(tokenizer: Tokenizer) -> Result<Self> {
        let controls = Controls::find(tokenizer.vocabulary())?;
        Ok(Self {
            tokenizer,
            controls,
        })
    }

    /// The prompt for the answer to a conversation. The texts of the turns stay text.
    ///
    /// # Errors
    /// Those of [`Tokenizer::encode_text`].
    pub fn prompt(&self, turns: &[Turn]) -> Result<Vec<u32>> {
        self.prompt_within(turns, &Bounds::NONE)
    }

    /// The same, ended early by `bounds`.
    ///
    /// # Errors
    /// Those of [`Harmony::prompt`], [`crate::Error::TooManyTokens`], [`crate::Error::Stopped`].
    pub fn prompt_within(&self, turns: &[Turn], bounds: &Bounds<'_>) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for piece in conversation(turns) {
            match piece {
                Piece::Control(control) => ids.push(self.controls.id(control)),
                Piece::Text(text) => {
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

    /// The prompt for these turns has at least so many tokens; told without encoding, 0 where nothing is known.
    pub fn least_tokens(&self, turns: &[Turn]) -> usize {
        let texts = turns.iter().flat_map(Turn::texts);
        let least = texts.map(|text| self.tokenizer.least_tokens(&text));
        // Each turn begins with a control token.
        least.sum::<usize>() + turns.len()
    }

    /// A parser for what the model generates after [`Harmony::prompt`].
    pub fn parser(&self) -> Parser {
        Parser::new(Arc::clone(self.vocabulary()), self.controls)
    }

    /// Generated ids as plain text in pieces; see [`TextStream::new`].
    pub fn text_stream(&self, keep_control: bool) -> TextStream {
        TextStream::new(Arc::clone(self.vocabulary()), keep_control)
    }

    /// The tokenizer itself.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Where the control tokens are.
    pub fn controls(&self) -> Controls {
        self.controls
    }

    fn vocabulary(&self) -> &Arc<Detokenizer> {
        self.tokenizer.vocabulary()
    }
}
