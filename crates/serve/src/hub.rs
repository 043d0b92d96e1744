//! Which request a token belongs to. Owns the requests that are open in the engine, their number, and what is to be said
//! once the engine is dead. Requests are opened on connections' tasks, events come in on one task of their own.

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::http::StatusCode;
use ossmark_protocol::{
    Event, Generator, Load, Request, RequestId, Sampling, StepOutputs, TokenId, request_seed,
};

use crate::body::Held;
use crate::error::ApiError;
use crate::events::Events;
use crate::metrics::Metrics;
use crate::slot::{Ended, News, Slot};

/// Ids are a counter: they are their own hash.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, id: u64) {
        // Hash tables look at the high bits as well.
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type Open = HashMap<u64, Arc<Slot>, BuildHasherDefault<IdHasher>>;

pub(crate) struct Hub {
    generator: Arc<dyn Generator>,
    pub(crate) metrics: Metrics,
    open: Mutex<Open>,
    next_id: AtomicU64,
    seed: u64,
    /// Requests that were let in and whose answer has not been given or given up.
    tickets: AtomicUsize,
    max_tickets: usize,
    /// Requests that the engine was given less those that it has ended: must return to zero.
    in_engine: AtomicU64,
    dead: OnceLock<String>,
}

/// What a request wants from the engine.
pub(crate) struct Job {
    pub(crate) prompt: Arc<[TokenId]>,
    pub(crate) sampling: Sampling,
    pub(crate) seed: Option<u64>,
    pub(crate) max_new_tokens: u32,
    pub(crate) stop: Box<[TokenId]>,
}

/// An open request. Dropped before its end, it is cancelled: nobody waits for it any more.
pub(crate) struct Ticket {
    pub(crate) id: u64,
    hub: Arc<Hub>,
    slot: Arc<Slot>,
}

/// Room for requests, held from before their prompts are tokenised until they have tickets.
pub(crate) struct Places {
    hub: Arc<Hub>,
    n: usize,
}

impl Places {
    /// Makes them at least `n`.
    pub(crate) fn widen(&mut self, n: usize) -> Result<(), ApiError> {
        let hub = &self.hub;
        let more = n.saturating_sub(self.n);
        let reserve = |open: usize| {
            let open = open.checked_add(more)?;
            (open <= hub.max_tickets).then_some(open)
        };
        hub.tickets
            .fetch_update(SeqCst, SeqCst, reserve)
            .map_err(|_| hub.full())?;
        self.n += more;
        Ok(())
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.hub.tickets.fetch_sub(self.n, SeqCst);
    }
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) ended: Ended,
}

impl Hub {
    pub(crate) fn new(generator: Arc<dyn Generator>, max_tickets: usize, seed: u64) -> Self {
        Self {
            generator,
            metrics: Metrics::default(),
            open: Mutex::default(),
            next_id: AtomicU64::new(0),
            seed,
            tickets: AtomicUsize::new(0),
            max_tickets,
            in_engine: AtomicU64::new(0),
            dead: OnceLock::new(),
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The message of an engine that is dead.
    pub(crate) fn dead(&self) -> Option<&str> {
        self.dead.get().map(String::as_str)
    }

    /// Requests let in and not yet done with.
    pub(crate) fn tickets(&self) -> usize {
        self.tickets.load(Relaxed)
    }

    pub(crate) fn in_engine(&self) -> u64 {
        self.in_engine.load(Relaxed)
    }

    pub(crate) fn load(&self) -> Vec<Load> {
        self.generator.load()
    }

    pub(crate) fn check(&self, prompt: &[TokenId], max_new_tokens: u32) -> Result<(), ApiError> {
        self.generator
            .check(prompt, max_new_tokens)
            .map_err(|error| ApiError::bad(error.to_string()))
    }

    /// The longest answer, within a factor of two, that this prompt leaves room for.
    pub(crate) fn most_new_tokens(
        &self,
        prompt: &[TokenId],
        max_context: u32,
    ) -> Result<u32, ApiError> {
        self.check(prompt, 1)?;
        let mut most = max_context.saturating_sub(prompt.len() as u32).max(1);
        // The KV pool may be smaller than the context.
        while most > 1 && self.check(prompt, most).is_err() {
            most /= 2;
        }
        Ok(most)
    }

    /// Whether one more request would be let in; tells before a body is read.
    pub(crate) fn admits(&self, more: usize) -> Result<(), ApiError> {
        if let Some(message) = self.dead() {
            return Err(dead(message));
        }
        match self.tickets() + more > self.max_tickets {
            true => Err(self.full()),
            false => Ok(()),
        }
    }

    fn full(&self) -> ApiError {
        ApiError::busy(
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "{} requests are open, which is the limit (--max-concurrency): try again later",
                self.max_tickets
            ),
        )
    }

    /// A place among the requests that may be open.
    pub(crate) fn place(self: &Arc<Self>) -> Result<Places, ApiError> {
        let mut places = Places {
            hub: Arc::clone(self),
            n: 0,
        };
        places.widen(1)?;
        Ok(places)
    }

    /// Hands requests to the engine, all or none. `interval` as in [`Slot`].
    pub(crate) fn submit(
        self: &Arc<Self>,
        held: Held,
        jobs: Vec<Job>,
        interval: Option<usize>,
    ) -> Result<Vec<Ticket>, ApiError> {
        let mut places = held.places;
        let n = jobs.len();
        places.widen(n)?;
        for job in &jobs {
            self.check(&job.prompt, job.max_new_tokens)?;
        }
        // Each ticket has its own from here on.
        places.n -= n;
        let first = self.next_id.fetch_add(n as u64, Relaxed);
        let mut requests = Vec::with_capacity(n);
        let mut tickets = Vec::with_capacity(n);
        for (job, id) in jobs.into_iter().zip(first..) {
            requests.push(Request {
                id: RequestId(id),
                prompt: job.prompt,
                sampling: job.sampling,
                seed: job.seed.unwrap_or_else(|| request_seed(self.seed, id)),
                max_new_tokens: job.max_new_tokens,
                want_logits: false,
                stop_tokens: Arc::default(),
                ignore_eos: false,
            });
            let slot = Arc::new(Slot::new(job.stop, interval));
            let hub = Arc::clone(self);
            tickets.push(Ticket { id, hub, slot });
        }
        self.open().extend(
            tickets
                .iter()
                .map(|ticket| (ticket.id, Arc::clone(&ticket.slot))),
        );
        let prompt_tokens: usize = requests.iter().map(|request| request.prompt.len()).sum();
        self.in_engine.fetch_add(n as u64, Relaxed);
        let submitted = self.generator.submit(requests);
        // Looked at after the slots are in place: whoever declares the engine dead fails all slots that it finds.
        if submitted.is_err() || self.dead().is_some() {
            self.forget(&tickets);
            return Err(dead(self.dead().unwrap_or("it takes no more requests")));
        }
        self.metrics
            .prompt_tokens
            .fetch_add(prompt_tokens as u64, Relaxed);
        Ok(tickets)
    }

    /// Takes tickets back that the engine never had.
    fn forget(&self, tickets: &[Ticket]) {
        let mut open = self.open();
        for ticket in tickets {
            open.remove(&ticket.id);
            ticket.slot.fail("never submitted");
        }
        self.left_engine(tickets.len() as u64);
    }

    fn left_engine(&self, n: u64) {
        // A dead engine's count was set to zero: what comes late must not take it below.
        let less = |count: u64| Some(count.saturating_sub(n));
        let _ = self.in_engine.fetch_update(Relaxed, Relaxed, less);
    }

    /// Takes in everything that the engine says, until it says no more.
    pub(crate) async fn fan_out(self: Arc<Self>, mut events: Events) {
        let mut batch = Vec::new();
        while events.0.recv_many(&mut batch, 64).await > 0 {
            for event in batch.drain(..) {
                match event {
                    Event::Step(step) => self.step(step),
                    Event::Fatal(message) => self.die(message),
                }
            }
        }
        self.die("the engine has ended".into());
    }

    fn step(&self, step: StepOutputs) {
        let now = Instant::now();
        let (mut readers, mut cut) = (Vec::new(), Vec::new());
        let mut tokens = &step.tokens[..];
        let (mut counted, mut ended) = (0, 0);
        let mut open = self.open();
        for out in step.outputs {
            let (mine, rest) = tokens.split_at(out.n_tokens as usize);
            tokens = rest;
            ended += u64::from(out.end.is_some());
            // Gone: its client went away, and the engine has not heard of it yet.
            let Some(slot) = open.get(&out.id.0) else {
                continue;
            };
            let taken = slot.take(mine, out.end, now);
            counted += taken.tokens as u64;
            readers.extend(taken.reader);
            if let Some(after) = taken.first_after {
                self.metrics.first_token.observe(after);
            }
            if let Some(mean) = taken.per_token {
                self.metrics.per_token.observe(mean);
            }
            if taken.cut {
                cut.push(out.id);
            }
            if taken.ended {
                open.remove(&out.id.0);
            }
        }
        drop(open);
        self.metrics.generated_tokens.fetch_add(counted, Relaxed);
        self.left_engine(ended);
        readers.into_iter().for_each(std::task::Waker::wake);
        if !cut.is_empty() {
            self.generator.cancel(cut);
        }
    }

    /// From here on every request, open or to come, is told that the engine is dead.
    fn die(&self, message: String) {
        let message = self.dead.get_or_init(|| message);
        let open = std::mem::take(&mut *self.open());
        self.in_engine.store(0, Relaxed);
        for slot in open.into_values() {
            if let Some(reader) = slot.fail(message) {
                reader.wake();
            }
        }
    }
}

fn dead(message: &str) -> ApiError {
    ApiError::engine(format!("the engine is dead: {message}"))
}

impl Ticket {
    /// When it was handed to the engine.
    pub(crate) fn submitted(&self) -> Instant {
        self.slot.submitted
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<News> {
        self.slot.poll(cx)
    }

    /// Waits for the first token; an error when the request failed before it.
    pub(crate) async fn begun(&self) -> Result<(), ApiError> {
        match poll_fn(|cx| self.slot.poll_begun(cx)).await {
            Some(Ended::Failed(message)) => Err(ApiError::engine(message)),
            _ => Ok(()),
        }
    }

    /// Waits for the whole answer of a request that does not stream.
    pub(crate) async fn answer(&self) -> Result<Answer, ApiError> {
        let news = poll_fn(|cx| self.slot.poll(cx)).await;
        match news.ended {
            Some(Ended::Failed(message)) => Err(ApiError::engine(message)),
            Some(ended) => Ok(Answer {
                tokens: news.tokens,
                ended,
            }),
            None => Err(ApiError::engine(
                "the answer was read before its end: a defect, please report it",
            )),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.hub.tickets.fetch_sub(1, SeqCst);
        if self.slot.has_ended() {
            return;
        }
        // Whoever takes it out of the table tells the engine; the end may be on its way.
        if self.hub.open().remove(&self.id).is_some() {
            self.hub.metrics.cancelled.fetch_add(1, Relaxed);
            self.hub.generator.cancel(vec![RequestId(self.id)]);
        }
    }
}
