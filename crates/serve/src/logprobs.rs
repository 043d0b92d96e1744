//! Log-probabilities of tokens, from the engine's logits as they are before temperature and top_p, as OpenAI and vLLM give
//! them.
//!
//! An engine asked for logits sends a row for every position, the prompt's too: their room is counted and bounded.

use std::cmp::Ordering;
use std::sync::Arc;

use ossmark_protocol::TokenId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;
use crate::events::Limits;

/// vLLM's limit.
pub(crate) const MOST_ALTERNATIVES: u32 = 20;
/// All rows of logits that requests may be waiting for at a time, and those of one.
const ROOM_MIB: usize = 512;
const REQUEST_MIB: usize = 256;
const MIB: usize = 1 << 20;

/// What a request wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WantedLogprobs {
    /// So many of the most probable tokens beside each.
    pub(crate) top: u32,
    /// Of the prompt's tokens too.
    pub(crate) prompt: bool,
}

/// One token's, and those of the most probable in its place, most probable first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Logprob {
    pub(crate) token: TokenId,
    pub(crate) logprob: f32,
    pub(crate) top: Vec<(TokenId, f32)>,
}

/// Room for the rows of logits of all requests.
pub(crate) struct LogitsRoom {
    permits: Arc<Semaphore>,
    vocab_size: usize,
    available: bool,
}

impl LogitsRoom {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(ROOM_MIB)),
            vocab_size: limits.vocab_size as usize,
            available: limits.logits,
        }
    }

    /// Waits for room for the rows of `n` answers to prompts of so many tokens together, which may come all at once. Taken
    /// as a whole: two that each wait for the rest would wait for ever.
    pub(crate) async fn acquire(
        &self,
        prompt_tokens: usize,
        n: u32,
    ) -> Result<Arc<OwnedSemaphorePermit>, ApiError> {
        if !self.available {
            return Err(ApiError::bad(
                "log-probabilities are not supported by this engine, which has no logits",
            ));
        }
        let rows = prompt_tokens.saturating_mul(n as usize);
        let bytes = rows.saturating_mul(self.vocab_size).saturating_mul(4);
        let mib = bytes.div_ceil(MIB).max(1);
        if mib > REQUEST_MIB {
            return Err(ApiError::bad(format!(
                "log-probabilities with prompts of {rows} tokens take {mib} MiB of logits, expected at most {REQUEST_MIB}"
            )));
        }
        let permits = Arc::clone(&self.permits).acquire_many_owned(mib as u32);
        let permits = permits
            .await
            .map_err(|_| ApiError::engine("the server is ending"))?;
        Ok(Arc::new(permits))
    }
}

/// Turns the rows of one request into log-probabilities, as they come.
pub(crate) struct Collector {
    wanted: WantedLogprobs,
    prompt: Arc<[TokenId]>,
    generated: Vec<TokenId>,
    /// The next row is the distribution after this position.
    position: usize,
    _room: Arc<OwnedSemaphorePermit>,
}

impl Collector {
    pub(crate) fn new(
        wanted: WantedLogprobs,
        prompt: Arc<[TokenId]>,
        room: Arc<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            wanted,
            prompt,
            generated: Vec::new(),
            position: 0,
            _room: room,
        }
    }

    /// Takes a step's tokens that count and its rows of logits. What is new of the prompt's and of the answer's tokens.
    pub(crate) fn push(
        &mut self,
        tokens: &[TokenId],
        logits: &[f32],
        vocab_size: usize,
    ) -> (Vec<Logprob>, Vec<Logprob>) {
        self.generated.extend_from_slice(tokens);
        let (mut of_prompt, mut of_answer) = (Vec::new(), Vec::new());
        for row in logits.chunks_exact(vocab_size) {
            self.position += 1;
            match self.position.checked_sub(self.prompt.len()) {
                None if self.wanted.prompt => {
                    of_prompt.push(logprob(row, self.prompt[self.position], self.wanted.top));
                }
                None => {}
                // Rows of tokens beyond the answer's end have no token here.
                Some(at) => {
                    let token = self.generated.get(at);
                    of_answer.extend(token.map(|token| logprob(row, *token, self.wanted.top)));
                }
            }
        }
        (of_prompt, of_answer)
    }
}

fn logprob(row: &[f32], token: TokenId, top: u32) -> Logprob {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|logit| f64::from(logit - most).exp()).sum();
    let norm = f64::from(most) + sum.ln();
    let of = |logit: f32| (f64::from(logit) - norm) as f32;
    let greater = |a: &(TokenId, f32), b: &(TokenId, f32)| {
        // Of equals the lower id first, as greedy sampling has it.
        b.1.partial_cmp(&a.1)
            .unwrap_or(Ordering::Equal)
            .then(a.0.cmp(&b.0))
    };
    let mut all: Vec<(TokenId, f32)> = Vec::new();
    let top = (top as usize).min(row.len());
    if top > 0 {
        all = (0..).zip(row.iter().copied()).collect();
        if top < all.len() {
            all.select_nth_unstable_by(top, greater);
            all.truncate(top);
        }
        all.sort_unstable_by(greater);
    }
    Logprob {
        token,
        logprob: row
            .get(token as usize)
            .map_or(f32::NEG_INFINITY, |logit| of(*logit)),
        top: all
            .into_iter()
            .map(|(token, logit)| (token, of(logit)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector(top: u32, prompt: bool) -> Collector {
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Collector::new(
            WantedLogprobs { top, prompt },
            [2, 0].into(),
            Arc::new(room),
        )
    }

    fn close(a: f32, b: f64) -> bool {
        (f64::from(a) - b).abs() < 1e-6
    }

    #[test]
    fn rows_belong_to_the_token_after_them_however_they_come() {
        // Probabilities 1/4, 1/4, 1/2; then 1/2, 1/4, 1/4.
        let (quarter, half) = (0.25f64.ln(), 0.5f64.ln());
        let row = |a: f64, b: f64, c: f64| [a as f32 + 7.0, b as f32 + 7.0, c as f32 + 7.0];
        let (first, second) = (row(quarter, quarter, half), row(half, quarter, quarter));
        let mut all = collector(2, true);
        // The prompt at once, with the first token; then a token.
        let (prompt, answer) = all.push(&[1], &[first, second].concat(), 3);
        assert_eq!((prompt.len(), prompt[0].token), (1, 0));
        assert!(close(prompt[0].logprob, quarter));
        assert_eq!(
            prompt[0]
                .top
                .iter()
                .map(|(token, _)| *token)
                .collect::<Vec<_>>(),
            [2, 0]
        );
        assert!(close(prompt[0].top[0].1, half));
        assert_eq!((answer.len(), answer[0].token), (1, 1));
        assert!(close(answer[0].logprob, quarter));
        let (prompt, answer) = all.push(&[2], &first, 3);
        assert_eq!((prompt.len(), answer.len()), (0, 1));
        assert!(close(answer[0].logprob, half));
        // In chunks, without the prompt's; a row beyond the end has no token.
        let mut pieces = collector(0, false);
        assert_eq!(pieces.push(&[], &first, 3), (vec![], vec![]));
        let (prompt, answer) = pieces.push(&[1], &[second, first].concat(), 3);
        assert_eq!((prompt.len(), answer.len(), answer[0].top.len()), (0, 1, 0));
    }

    #[test]
    fn a_row_of_any_numbers_does_no_harm() {
        for row in [
            [f32::NAN; 3],
            [f32::NEG_INFINITY; 3],
            [f32::MAX, f32::MIN, 0.0],
        ] {
            let found = logprob(&row, 1, 20);
            assert_eq!(found.top.len(), 3);
        }
        assert_eq!(logprob(&[0.0], 9, 0).logprob, f32::NEG_INFINITY);
    }
}
