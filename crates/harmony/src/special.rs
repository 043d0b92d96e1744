//! Harmony's special tokens and where a vocabulary has them.

use crate::{Detokenizer, Error, Result};

/// A token that separates, and never is, text. Source: OpenAI's cookbook, "OpenAI harmony response format", special tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpecialToken {
    /// Begins a message: the author's role follows.
    Start,
    /// Ends a message that others follow.
    End,
    /// Ends a message's header: the text follows.
    Message,
    /// The name of a channel follows.
    Channel,
    /// The type of a tool call's arguments follows.
    Constrain,
    /// Ends the last message of an answer.
    Return,
    /// Ends a message that calls a tool.
    Call,
}

impl SpecialToken {
    /// All of them, in the order of [`SpecialTokens`].
    pub const ALL: [Self; 7] = [
        Self::Start,
        Self::End,
        Self::Message,
        Self::Channel,
        Self::Constrain,
        Self::Return,
        Self::Call,
    ];

    /// Its content in a tokenizer.json.
    pub fn text(self) -> &'static str {
        match self {
            Self::Start => "<|start|>",
            Self::End => "<|end|>",
            Self::Message => "<|message|>",
            Self::Channel => "<|channel|>",
            Self::Constrain => "<|constrain|>",
            Self::Return => "<|return|>",
            Self::Call => "<|call|>",
        }
    }
}

/// The ids of the special tokens in one vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialTokens([u32; SpecialToken::ALL.len()]);

impl SpecialTokens {
    /// Looks every special token up by its content.
    ///
    /// # Errors
    /// [`Error::NoSpecialToken`] when one is missing.
    pub fn find(vocabulary: &Detokenizer) -> Result<Self> {
        let mut ids = [0; SpecialToken::ALL.len()];
        for (id, special) in ids.iter_mut().zip(SpecialToken::ALL) {
            let token = special.text();
            *id = vocabulary
                .added_id(token)
                .ok_or(Error::NoSpecialToken { token })?;
        }
        Ok(Self(ids))
    }

    /// A special token's id.
    pub fn id(&self, token: SpecialToken) -> u32 {
        self.0[token as usize]
    }

    /// Which special token an id is, if any.
    pub fn of(&self, id: u32) -> Option<SpecialToken> {
        let place = self.0.iter().position(|&known| known == id)?;
        Some(SpecialToken::ALL[place])
    }
}
