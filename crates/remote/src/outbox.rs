//! Answers on their way to the sink: everything that moved since the last wake-up goes out as one message.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, PoisonError};

use ossmark_protocol::{End, Event, RequestId, SeqOutput, Sink, StepOutputs, TokenId};
use tokio::sync::Notify;

use crate::quote::message;
use crate::stats::{Counters, count};

/// The sink of all threads; gone once it wants no more or everything is over.
pub(crate) struct SharedSink(Mutex<Option<Sink>>);

impl SharedSink {
    pub(crate) fn new(sink: Sink) -> Self {
        Self(Mutex::new(Some(sink)))
    }

    /// Whether more is wanted. Nothing comes after [`Event::Fatal`].
    pub(crate) fn send(&self, event: Event) -> bool {
        // Taken out: one that panics is not put back.
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = matches!(event, Event::Fatal(_));
        *place = place
            .take()
            .and_then(|mut sink| (sink(event) && !last).then_some(sink));
        place.is_some()
    }
}

pub(crate) struct Outbox {
    /// A step names a request once: what one request brings between two wake-ups goes into steps that follow each other.
    steps: RefCell<Vec<StepOutputs>>,
    /// Counts wake-ups.
    round: Cell<u64>,
    moved: Notify,
    pub(crate) counters: Arc<Counters>,
}

impl Outbox {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self {
            steps: RefCell::default(),
            round: Cell::new(0),
            moved: Notify::new(),
            counters,
        }
    }

    /// `last` is the round and the step in which the request was last named.
    fn push(
        &self,
        id: RequestId,
        tokens: &[TokenId],
        end: Option<End>,
        engine: u16,
        last: &Cell<Option<(u64, usize)>>,
    ) {
        let round = self.round.get();
        let at = match last.get() {
            Some((then, at)) if then == round => at + 1,
            _ => 0,
        };
        last.set(Some((round, at)));
        let mut steps = self.steps.borrow_mut();
        if steps.len() <= at {
            steps.resize_with(at + 1, StepOutputs::default);
        }
        let step = &mut steps[at];
        step.tokens.extend_from_slice(tokens);
        step.outputs.push(SeqOutput {
            id,
            n_tokens: tokens.len() as u32,
            end,
            engine,
            logits: Vec::new(),
        });
        self.moved.notify_one();
    }

    /// Runs until nobody listens any more. Tasks that are ready run before it does: their answers go out together.
    pub(crate) async fn deliver(&self, sink: &SharedSink) {
        loop {
            self.moved.notified().await;
            self.round.set(self.round.get() + 1);
            for step in self.steps.borrow_mut().drain(..) {
                if !sink.send(Event::Step(step)) {
                    return;
                }
            }
        }
    }
}

/// A request that has to be ended: if nobody does, because a task panicked, dropping it does.
pub(crate) struct OpenRequest<'a> {
    id: RequestId,
    outbox: &'a Outbox,
    ended: bool,
    last: Cell<Option<(u64, usize)>>,
}

impl<'a> OpenRequest<'a> {
    pub(crate) fn new(id: RequestId, outbox: &'a Outbox) -> Self {
        Self {
            id,
            outbox,
            ended: false,
            last: Cell::new(None),
        }
    }

    /// Some tokens have come.
    pub(crate) fn tokens(&self, tokens: &[TokenId]) {
        if !tokens.is_empty() {
            self.outbox.push(self.id, tokens, None, 0, &self.last);
        }
    }

    /// The last have come, on this lane.
    pub(crate) fn end(mut self, lane: usize, tokens: &[TokenId], mut end: End) {
        self.ended = true;
        if let End::Failed(what) = &mut end {
            *what = message(what);
            count(&self.outbox.counters.failed);
        }
        let engine = u16::try_from(lane).unwrap_or(u16::MAX);
        self.outbox
            .push(self.id, tokens, Some(end), engine, &self.last);
    }
}

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        if !self.ended {
            count(&self.outbox.counters.failed);
            let end = End::Failed("the HTTP client panicked; its message is on stderr".into());
            self.outbox.push(self.id, &[], Some(end), 0, &self.last);
        }
    }
}
