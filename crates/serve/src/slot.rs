//! One open request between the engine's events and the connection that waits for them. Written by the task that fans
//! events out, read by the connection's task; no lock is held across an await.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ossmark_protocol::{End, TokenId};

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this token, which is the last of its tokens.
    Stop(TokenId),
    Length,
    /// For people.
    Failed(String),
}

pub(crate) struct Slot {
    submitted: Instant,
    /// Tokens that end this request besides the model's own.
    stop: Box<[TokenId]>,
    /// The reader is woken for this many new tokens; `None`: only for the end.
    interval: Option<usize>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Not yet read.
    tokens: Vec<TokenId>,
    /// All that came, read or not.
    total: usize,
    first: Option<Instant>,
    last: Option<Instant>,
    last_token: Option<TokenId>,
    ended: Option<Ended>,
    reader: Option<Waker>,
}

/// What became of a request with an event.
pub(crate) struct Taken {
    /// Tokens that count.
    pub(crate) tokens: usize,
    /// The first of them came now, this long after submission.
    pub(crate) first_after: Option<Duration>,
    /// It has ended with this event.
    pub(crate) ended: bool,
    /// The engine does not know that yet.
    pub(crate) cut: bool,
    /// Mean time per token after the first, when it ended with at least two.
    pub(crate) per_token: Option<Duration>,
    /// Who has to be woken, outside of any lock.
    pub(crate) reader: Option<Waker>,
}

/// What a reader finds.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Since the last time.
    pub(crate) tokens: Vec<TokenId>,
    /// All so far.
    pub(crate) total: usize,
    /// Since the request was submitted.
    pub(crate) elapsed: Duration,
    pub(crate) ended: Option<Ended>,
}

impl News {
    /// The tokens whose text is shown: with `trim_stop` all but the one that stopped the answer.
    pub(crate) fn shown(&self, trim_stop: bool) -> &[TokenId] {
        match (&self.ended, self.tokens.split_last()) {
            (Some(Ended::Stop(stop)), Some((last, rest))) if trim_stop && last == stop => rest,
            _ => &self.tokens,
        }
    }
}

impl Slot {
    pub(crate) fn new(stop: Box<[TokenId]>, interval: Option<usize>) -> Self {
        Self {
            submitted: Instant::now(),
            stop,
            interval,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a step did for this request.
    pub(crate) fn take(&self, tokens: &[TokenId], end: Option<End>, now: Instant) -> Taken {
        let mut state = self.state();
        let cut_at = match self.stop.is_empty() {
            true => None,
            false => tokens.iter().position(|token| self.stop.contains(token)),
        };
        let tokens = &tokens[..cut_at.map_or(tokens.len(), |at| at + 1)];
        let mut first_after = None;
        if !tokens.is_empty() {
            if state.first.is_none() {
                state.first = Some(now);
                first_after = Some(now - self.submitted);
            }
            state.last = Some(now);
            state.last_token = tokens.last().copied();
        }
        state.tokens.extend_from_slice(tokens);
        state.total += tokens.len();
        let cut = cut_at.is_some() && end.is_none();
        state.ended = match (cut_at, end) {
            (Some(at), _) => Some(Ended::Stop(tokens[at])),
            (None, None) => None,
            (None, Some(End::Stop)) => Some(match state.last_token {
                Some(token) => Ended::Stop(token),
                None => Ended::Failed("the engine reported a stop without a token".into()),
            }),
            (None, Some(End::Length)) => Some(Ended::Length),
            (None, Some(End::Cancelled)) => Some(Ended::Failed("the request was cancelled".into())),
            (None, Some(End::Failed(message))) => Some(Ended::Failed(message)),
        };
        let ended = state.ended.is_some();
        let per_token = match (ended, state.first, state.last) {
            (true, Some(first), Some(last)) if state.total > 1 => {
                Some((last - first) / (state.total as u32 - 1))
            }
            _ => None,
        };
        let wake = ended || self.is_due(&state);
        let reader = if wake { state.reader.take() } else { None };
        Taken {
            tokens: tokens.len(),
            first_after,
            ended,
            cut,
            per_token,
            reader,
        }
    }

    /// Ends the request unless it has ended; who has to be woken.
    pub(crate) fn fail(&self, message: &str) -> Option<Waker> {
        let mut state = self.state();
        if state.ended.is_none() {
            state.ended = Some(Ended::Failed(message.to_owned()));
        }
        state.reader.take()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state().ended.is_some()
    }

    /// Enough for the reader: the first token at once, then so many at a time.
    fn is_due(&self, state: &State) -> bool {
        let first = state.total == state.tokens.len();
        self.interval.is_some_and(|interval| {
            !state.tokens.is_empty() && (first || state.tokens.len() >= interval)
        })
    }

    /// What is new, once it is enough to be worth telling.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<News> {
        let mut state = self.state();
        if state.ended.is_none() && !self.is_due(&state) {
            match &mut state.reader {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        Poll::Ready(News {
            tokens: std::mem::take(&mut state.tokens),
            total: state.total,
            elapsed: self.submitted.elapsed(),
            ended: state.ended.clone(),
        })
    }

    /// Ready once there is a token or the end; takes nothing.
    pub(crate) fn poll_begun(&self, cx: &mut Context<'_>) -> Poll<Option<Ended>> {
        let mut state = self.state();
        if state.ended.is_none() && state.tokens.is_empty() {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(state.ended.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(slot: &Slot) -> Option<News> {
        match slot.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(news) => Some(news),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_stop_token_of_the_request_cuts_the_answer_there() {
        let slot = Slot::new([7].into(), Some(1));
        let taken = slot.take(&[1, 2], None, Instant::now());
        assert!(taken.first_after.is_some() && !taken.ended);
        let taken = slot.take(&[3, 7, 8], None, Instant::now());
        assert_eq!((taken.tokens, taken.ended, taken.cut), (2, true, true));
        assert!(taken.first_after.is_none() && taken.per_token.is_some());
        let news = poll(&slot).unwrap();
        assert_eq!((&news.tokens[..], news.total), (&[1, 2, 3, 7][..], 4));
        assert_eq!(news.ended, Some(Ended::Stop(7)));
    }

    #[test]
    fn readers_get_the_first_token_at_once_and_then_so_many_at_a_time() {
        let slot = Slot::new([].into(), Some(3));
        assert!(poll(&slot).is_none());
        slot.take(&[1], None, Instant::now());
        assert_eq!(poll(&slot).unwrap().tokens, [1]);
        slot.take(&[2, 3], None, Instant::now());
        assert!(poll(&slot).is_none());
        slot.take(&[4], None, Instant::now());
        assert_eq!(poll(&slot).unwrap().tokens, [2, 3, 4]);
        slot.take(&[5], Some(End::Length), Instant::now());
        let news = poll(&slot).unwrap();
        assert_eq!(
            (&news.tokens[..], news.total, news.ended),
            (&[5][..], 5, Some(Ended::Length))
        );
    }

    #[test]
    fn without_streaming_only_the_end_is_told() {
        let slot = Slot::new([].into(), None);
        slot.take(&[1], None, Instant::now());
        assert!(poll(&slot).is_none());
        slot.take(&[9], Some(End::Stop), Instant::now());
        let news = poll(&slot).unwrap();
        assert_eq!(
            (&news.tokens[..], news.ended),
            (&[1, 9][..], Some(Ended::Stop(9)))
        );
    }
}
