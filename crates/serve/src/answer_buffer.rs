//! One open request between the engine's events and the connection that waits for them. Written by the task that fans
//! events out, read by the connection's task; no lock is held across an await.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ossmark_protocol::{End, TokenId};

use crate::answer_delta::{AnswerDelta, FinishReason};
use crate::logprobs::{Collector, Logprob};
use crate::text_tokens::StopDetector;

pub(crate) struct AnswerBuffer {
    submitted: Instant,
    /// Tokens that end this request besides the model's own.
    stop: Box<[TokenId]>,
    /// Finds a text that ends this request.
    stop_text: Option<Mutex<Box<StopDetector>>>,
    /// Its log-probabilities, and how long a row of logits is.
    logprobs: Option<(Mutex<Box<Collector>>, usize)>,
    /// The reader is woken for this many new tokens; `None`: only for the end.
    interval: Option<usize>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Not yet read.
    tokens: Vec<TokenId>,
    /// Theirs, and the prompt's before them.
    logprobs: Vec<Logprob>,
    prompt_logprobs: Vec<Logprob>,
    /// All that came, read or not.
    total: usize,
    first: Option<Instant>,
    last: Option<Instant>,
    last_token: Option<TokenId>,
    finish_reason: Option<FinishReason>,
    waker: Option<Waker>,
}

/// What became of a request with an event of the engine.
pub(crate) struct Appended {
    /// Tokens that count.
    pub(crate) tokens: usize,
    /// The first of them came now, this long after submission.
    pub(crate) ttft: Option<Duration>,
    /// It has ended with this event.
    pub(crate) finished: bool,
    /// The engine does not know that yet, and has to be told.
    pub(crate) cancel: bool,
    /// Mean time per token after the first, when it ended with at least two.
    pub(crate) tpot: Option<Duration>,
    /// Who has to be woken, outside of any lock.
    pub(crate) waker: Option<Waker>,
}

impl AnswerBuffer {
    pub(crate) fn new(stop: Box<[TokenId]>, interval: Option<usize>) -> Self {
        Self {
            submitted: Instant::now(),
            stop,
            stop_text: None,
            logprobs: None,
            interval,
            state: Mutex::default(),
        }
    }

    /// With texts that end it.
    pub(crate) fn with_text(mut self, detector: Option<Box<StopDetector>>) -> Self {
        self.stop_text = detector.map(Mutex::new);
        self
    }

    /// With log-probabilities, from rows of so many logits.
    pub(crate) fn with_logprobs(
        mut self,
        collector: Option<Box<Collector>>,
        vocab_size: usize,
    ) -> Self {
        self.logprobs = collector.map(|collector| (Mutex::new(collector), vocab_size));
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a step did for this request.
    pub(crate) fn append(
        &self,
        tokens: &[TokenId],
        logits: &[f32],
        end: Option<End>,
        now: Instant,
    ) -> Appended {
        let mut state = self.state();
        let cut = self.cut(tokens);
        let tokens = &tokens[..cut.as_ref().map_or(tokens.len(), |(at, _)| at + 1)];
        let mut ttft = None;
        if !tokens.is_empty() {
            if state.first.is_none() {
                state.first = Some(now);
                ttft = Some(now - self.submitted);
            }
            state.last = Some(now);
            state.last_token = tokens.last().copied();
        }
        state.tokens.extend_from_slice(tokens);
        state.total += tokens.len();
        let mut without = false;
        if let Some((collector, vocab_size)) = &self.logprobs {
            let mut collector = collector.lock().unwrap_or_else(PoisonError::into_inner);
            let (of_prompt, of_answer) = collector.push(tokens, logits, *vocab_size);
            without = of_answer.len() != tokens.len();
            state.prompt_logprobs.extend(of_prompt);
            state.logprobs.extend(of_answer);
        }
        let cancel = (cut.is_some() || without) && end.is_none();
        state.finish_reason = match (cut, end) {
            _ if without => Some(FinishReason::Failed(
                "the engine gave no logits with a token".into(),
            )),
            (Some((_, reason)), _) => Some(reason),
            (None, None) => None,
            (None, Some(End::Stop)) => Some(match state.last_token {
                Some(token) => FinishReason::Stop(token),
                None => FinishReason::Failed("the engine reported a stop without a token".into()),
            }),
            (None, Some(End::Length)) => Some(FinishReason::Length),
            (None, Some(End::Cancelled)) => {
                Some(FinishReason::Failed("the request was cancelled".into()))
            }
            (None, Some(End::Failed(message))) => Some(FinishReason::Failed(message)),
        };
        let finished = state.finish_reason.is_some();
        let tpot = match (finished, state.first, state.last) {
            (true, Some(first), Some(last)) if state.total > 1 => {
                Some((last - first) / (state.total as u32 - 1))
            }
            _ => None,
        };
        let wake = finished || self.is_due(&state);
        let waker = if wake { state.waker.take() } else { None };
        Appended {
            tokens: tokens.len(),
            ttft,
            finished,
            cancel,
            tpot,
            waker,
        }
    }

    /// Where an answer ends by what its request said: the last token that counts.
    fn cut(&self, tokens: &[TokenId]) -> Option<(usize, FinishReason)> {
        let mut detector = self
            .stop_text
            .as_ref()
            .map(|detector| detector.lock().unwrap_or_else(PoisonError::into_inner));
        if self.stop.is_empty() && detector.is_none() {
            return None;
        }
        tokens.iter().enumerate().find_map(|(at, token)| {
            let by_text = detector.as_mut().and_then(|detector| detector.push(*token));
            if self.stop.contains(token) {
                return Some((at, FinishReason::Stop(*token)));
            }
            by_text.map(|text| (at, FinishReason::StopText(text.into())))
        })
    }

    /// Ends the request unless it has ended; who has to be woken.
    pub(crate) fn fail(&self, message: &str) -> Option<Waker> {
        let mut state = self.state();
        if state.finish_reason.is_none() {
            state.finish_reason = Some(FinishReason::Failed(message.to_owned()));
        }
        state.waker.take()
    }

    pub(crate) fn has_finished(&self) -> bool {
        self.state().finish_reason.is_some()
    }

    /// Enough for the reader: the first token at once, then so many at a time.
    fn is_due(&self, state: &State) -> bool {
        let first = state.total == state.tokens.len();
        self.interval.is_some_and(|interval| {
            !state.tokens.is_empty() && (first || state.tokens.len() >= interval)
        })
    }

    /// What is new, once it is enough for an event.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<AnswerDelta> {
        let mut state = self.state();
        if state.finish_reason.is_none() && !self.is_due(&state) {
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        Poll::Ready(AnswerDelta {
            tokens: std::mem::take(&mut state.tokens),
            logprobs: std::mem::take(&mut state.logprobs),
            prompt_logprobs: std::mem::take(&mut state.prompt_logprobs),
            total: state.total,
            elapsed: self.submitted.elapsed(),
            finish_reason: state.finish_reason.clone(),
        })
    }

    /// Ready once there is a token or the end; takes nothing.
    pub(crate) fn poll_first_token(&self, cx: &mut Context<'_>) -> Poll<Option<FinishReason>> {
        let mut state = self.state();
        if state.finish_reason.is_none() && state.tokens.is_empty() {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(state.finish_reason.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(buffer: &AnswerBuffer) -> Option<AnswerDelta> {
        match buffer.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(delta) => Some(delta),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_stop_token_of_the_request_cuts_the_answer_there() {
        let buffer = AnswerBuffer::new([7].into(), Some(1));
        let appended = buffer.append(&[1, 2], &[], None, Instant::now());
        assert!(appended.ttft.is_some() && !appended.finished);
        let appended = buffer.append(&[3, 7, 8], &[], None, Instant::now());
        assert_eq!(
            (appended.tokens, appended.finished, appended.cancel),
            (2, true, true)
        );
        assert!(appended.ttft.is_none() && appended.tpot.is_some());
        let delta = poll(&buffer).unwrap();
        assert_eq!((&delta.tokens[..], delta.total), (&[1, 2, 3, 7][..], 4));
        assert_eq!(delta.finish_reason, Some(FinishReason::Stop(7)));
    }

    #[test]
    fn readers_get_the_first_token_at_once_and_then_so_many_at_a_time() {
        let buffer = AnswerBuffer::new([].into(), Some(3));
        assert!(poll(&buffer).is_none());
        buffer.append(&[1], &[], None, Instant::now());
        assert_eq!(poll(&buffer).unwrap().tokens, [1]);
        buffer.append(&[2, 3], &[], None, Instant::now());
        assert!(poll(&buffer).is_none());
        buffer.append(&[4], &[], None, Instant::now());
        assert_eq!(poll(&buffer).unwrap().tokens, [2, 3, 4]);
        buffer.append(&[5], &[], Some(End::Length), Instant::now());
        let delta = poll(&buffer).unwrap();
        assert_eq!(
            (&delta.tokens[..], delta.total, delta.finish_reason),
            (&[5][..], 5, Some(FinishReason::Length))
        );
    }

    #[test]
    fn without_streaming_only_the_end_is_told() {
        let buffer = AnswerBuffer::new([].into(), None);
        buffer.append(&[1], &[], None, Instant::now());
        assert!(poll(&buffer).is_none());
        buffer.append(&[9], &[], Some(End::Stop), Instant::now());
        let delta = poll(&buffer).unwrap();
        assert_eq!(
            (&delta.tokens[..], delta.finish_reason),
            (&[1, 9][..], Some(FinishReason::Stop(9)))
        );
    }
}
