//! What the engine can serve at all. Owns the checks of a request against capacity; changes nothing. Any thread.

use crate::blocks::Geometry;
use crate::executor::Capacity;
use crate::types::{Request, Sampling, TokenId};

/// Why a request can never be answered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what each field is")]
pub enum RequestError {
    /// No prompt.
    #[error("the prompt is empty: give at least one token")]
    EmptyPrompt,
    /// A token that the model does not have.
    #[error(
        "prompt token {token} at position {position} is outside the vocabulary of {vocab_size}: was the prompt tokenized for this model?"
    )]
    TokenOutsideVocabulary {
        token: TokenId,
        position: usize,
        vocab_size: u32,
    },
    /// Nothing to generate.
    #[error("max_new_tokens is 0: ask for at least one token")]
    NoNewTokens,
    /// The prompt leaves no room for a single token.
    #[error("the prompt has {prompt} tokens, but the context of {max_context} leaves room for at most {} with one generated token: shorten the prompt", .max_context - 1)]
    PromptBeyondContext { prompt: usize, max_context: u32 },
    /// The sequence would not fit even if it ran alone.
    #[error(
        "a prompt of {prompt} tokens with up to {new} generated needs {needed} KV blocks of {block_size} positions at once, but the pool has {n_blocks}: raise the memory budget or lower max_new_tokens"
    )]
    PoolTooSmall {
        prompt: usize,
        new: u32,
        needed: u32,
        block_size: u32,
        n_blocks: u32,
    },
    /// A sampling parameter out of range.
    #[error("{name} is {value}, expected {expected}")]
    Sampling {
        name: &'static str,
        value: f32,
        expected: &'static str,
    },
}

/// The limits of a running engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits(pub(crate) Capacity);

impl Limits {
    /// Longest that this sequence may become, prompt included.
    pub(crate) fn max_len(&self, prompt: usize, max_new_tokens: u32) -> u32 {
        let context = self.0.max_context;
        u32::try_from(prompt)
            .unwrap_or(u32::MAX)
            .saturating_add(max_new_tokens)
            .min(context)
    }

    pub(crate) fn check(
        &self,
        prompt: &[TokenId],
        max_new_tokens: u32,
    ) -> Result<(), RequestError> {
        let Capacity {
            n_blocks,
            block_size,
            max_context,
            vocab_size,
            ..
        } = self.0;
        if prompt.is_empty() {
            return Err(RequestError::EmptyPrompt);
        }
        if max_new_tokens == 0 {
            return Err(RequestError::NoNewTokens);
        }
        if prompt.len() >= max_context as usize {
            return Err(RequestError::PromptBeyondContext {
                prompt: prompt.len(),
                max_context,
            });
        }
        if let Some((position, &token)) = prompt.iter().enumerate().find(|&(_, &t)| t >= vocab_size)
        {
            return Err(RequestError::TokenOutsideVocabulary {
                token,
                position,
                vocab_size,
            });
        }
        let max_len = self.max_len(prompt.len(), max_new_tokens);
        // The last token is never an input. Chunks shrink when blocks are short, so one position at a time must fit.
        let needed = Geometry::new(&self.0).peak(max_len - 1, 1);
        if needed > n_blocks {
            let new = max_len - prompt.len() as u32;
            return Err(RequestError::PoolTooSmall {
                prompt: prompt.len(),
                new,
                needed,
                block_size,
                n_blocks,
            });
        }
        Ok(())
    }

    pub(crate) fn check_request(&self, request: &Request) -> Result<(), RequestError> {
        self.check(&request.prompt, request.max_new_tokens)?;
        check_sampling(&request.sampling)
    }
}

/// Whether sampling parameters make sense: a temperature that is finite and not negative, 0 < top_p <= 1.
pub fn check_sampling(sampling: &Sampling) -> Result<(), RequestError> {
    let Sampling {
        temperature, top_p, ..
    } = *sampling;
    if !(temperature.is_finite() && temperature >= 0.0) {
        let expected = "a finite number of at least 0 (0 is greedy)";
        return Err(RequestError::Sampling {
            name: "temperature",
            value: temperature,
            expected,
        });
    }
    if !(top_p > 0.0 && top_p <= 1.0) {
        let expected = "more than 0 and at most 1 (1 keeps all tokens)";
        return Err(RequestError::Sampling {
            name: "top_p",
            value: top_p,
            expected,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: Capacity = Capacity {
        n_blocks: 6,
        block_size: 4,
        window: Some(4),
        has_full: true,
        max_step_tokens: 8,
        max_seqs: 2,
        max_context: 32,
        vocab_size: 10,
    };

    #[test]
    fn each_situation_has_its_message() {
        let check =
            |prompt: &[u32], new| Limits(CAPACITY).check(prompt, new).unwrap_err().to_string();
        assert!(check(&[], 1).contains("empty"));
        assert!(check(&[1], 0).contains("max_new_tokens is 0"));
        assert!(
            check(&[1, 10], 1).contains("token 10 at position 1 is outside the vocabulary of 10")
        );
        assert!(
            check(&[1; 32], 1)
                .contains("32 tokens, but the context of 32 leaves room for at most 31")
        );
        // 17 positions need 5 full blocks and 2 window blocks.
        assert!(
            check(&[1; 17], 1)
                .contains("needs 7 KV blocks of 4 positions at once, but the pool has 6")
        );
    }

    #[test]
    fn the_last_token_needs_no_block() {
        assert_eq!(Limits(CAPACITY).check(&[1; 16], 1), Ok(()));
        assert!(matches!(
            Limits(CAPACITY).check(&[1; 16], 2),
            Err(RequestError::PoolTooSmall { needed: 7, .. })
        ));
    }

    #[test]
    fn sampling_is_checked() {
        let ok = Sampling {
            temperature: 1.0,
            top_p: 0.5,
            top_k: 0,
        };
        assert_eq!(check_sampling(&ok), Ok(()));
        assert_eq!(check_sampling(&Sampling::GREEDY), Ok(()));
        for bad in [f32::NAN, f32::INFINITY, -1.0] {
            assert!(
                check_sampling(&Sampling {
                    temperature: bad,
                    ..ok
                })
                .is_err()
            );
        }
        for bad in [f32::NAN, 0.0, 1.5] {
            assert!(check_sampling(&Sampling { top_p: bad, ..ok }).is_err());
        }
    }
}
