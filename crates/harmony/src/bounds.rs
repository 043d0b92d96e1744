//! What an encoding may cost: when it ends early, and how few tokens a text can have, told without encoding it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::Value;
use tokenizers::{ModelWrapper, Tokenizer};

use crate::{Detokenizer, Error, Result};

/// When an encoding ends early. The tokenizer is asked between pieces of text, which are words for the most part.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// With more tokens than this the text is refused ([`Error::TooManyTokens`]).
    pub most_tokens: usize,
    /// Set once nobody waits for the ids any more ([`Error::Stopped`]).
    pub stop: &'a AtomicBool,
}

static NEVER: AtomicBool = AtomicBool::new(false);

impl Bounds<'static> {
    /// To the end, however long.
    pub(crate) const NONE: Self = Self {
        most_tokens: usize::MAX,
        stop: &NEVER,
    };
}

impl Bounds<'_> {
    /// Whether an encoding that has so many tokens may go on.
    pub(crate) fn check(&self, tokens: usize) -> Result<()> {
        match self.most_tokens {
            _ if self.stop.load(Relaxed) => Err(Error::Stopped),
            most if tokens > most => Err(Error::TooManyTokens { most }),
            _ => Ok(()),
        }
    }

    /// What is left of them behind so many tokens.
    pub(crate) fn after(&self, tokens: usize) -> Self {
        Self {
            most_tokens: self.most_tokens.saturating_sub(tokens),
            ..*self
        }
    }
}

/// For each byte, its share of the longest token that holds it, in units of 1 / `ONE`, rounded down. A token's bytes have no
/// more than `ONE` together: each has at most 1 / (the token's length). So a text has at least as many tokens as its bytes
/// have shares.
pub(crate) struct Shares([u64; 256]);

const ONE: u64 = 1 << 32;

impl Shares {
    /// None where a text may lose bytes on its way to the tokens, so that nothing is known.
    pub(crate) fn find(inner: &Tokenizer, vocabulary: &Detokenizer) -> Option<Self> {
        if !keeps_every_byte(inner, vocabulary) {
            return None;
        }
        let mut longest = [0; 256];
        let mut alone = [false; 256];
        for token in vocabulary.tokens() {
            if let [byte] = token {
                alone[usize::from(*byte)] = true;
            }
            for &byte in token {
                let longest = &mut longest[usize::from(byte)];
                *longest = token.len().max(*longest);
            }
        }
        // A byte without a token would be left out.
        let whole = alone.iter().all(|alone| *alone);
        whole.then(|| Self(longest.map(|len| ONE / len as u64)))
    }

    /// A text has at least this many tokens.
    pub(crate) fn least_tokens(&self, text: &str) -> usize {
        let shares: u64 = text.bytes().map(|byte| self.0[usize::from(byte)]).sum();
        usize::try_from(shares.div_ceil(ONE)).unwrap_or(usize::MAX)
    }
}

/// No normalizer, no splitting that drops what it splits at, bytes as the byte-level alphabet, and no added token that takes
/// the spaces around it in.
fn keeps_every_byte(inner: &Tokenizer, vocabulary: &Detokenizer) -> bool {
    let ModelWrapper::BPE(model) = inner.get_model() else {
        return false;
    };
    let split = serde_json::to_value(inner.get_pre_tokenizer()).unwrap_or_default();
    let mut byte_level = 0;
    inner.get_normalizer().is_none()
        && model.continuing_subword_prefix.is_none()
        && model.end_of_word_suffix.is_none()
        && splits_alone(&split, &mut byte_level)
        && byte_level == 1
        && inner.get_added_tokens_decoder().iter().all(|(id, token)| {
            !token.lstrip
                && !token.rstrip
                && vocabulary.bytes(*id) == Some(token.content.as_bytes())
        })
}

fn splits_alone(pre_tokenizer: &Value, byte_level: &mut usize) -> bool {
    match pre_tokenizer["type"].as_str() {
        Some("ByteLevel") => {
            *byte_level += 1;
            true
        }
        Some("Digits") => true,
        Some("Split") => pre_tokenizer["behavior"] != "Removed",
        Some("Sequence") => pre_tokenizer["pretokenizers"]
            .as_array()
            .is_some_and(|all| all.iter().all(|one| splits_alone(one, byte_level))),
        _ => false,
    }
}
