//! What the engine can serve at all. Owns the checks of a request against capacity; changes nothing. Any thread.

use crate::blocks::Geometry;
use crate::executor::Capacity;
use ossmark_protocol::{Request, RequestError, TokenId};

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
        request.sampling.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ossmark_protocol::Sampling;

    const CAPACITY: Capacity = Capacity {
        n_blocks: 6,
        block_size: 4,
        window: Some(4),
        has_full: true,
        max_step_tokens: 8,
        max_seqs: 2,
        max_context: 32,
        vocab_size: 10,
        draft_tokens: 0,
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
        assert_eq!(ok.check(), Ok(()));
        assert_eq!(Sampling::GREEDY.check(), Ok(()));
        for bad in [f32::NAN, f32::INFINITY, -1.0] {
            assert!(
                Sampling {
                    temperature: bad,
                    ..ok
                }
                .check()
                .is_err()
            );
        }
        for bad in [f32::NAN, 0.0, 1.5] {
            assert!(Sampling { top_p: bad, ..ok }.check().is_err());
        }
    }
}
