//! Which request a token belongs to. Owns the requests that are open in the engine, their number, and why the engine died,
//! once it did. Requests are opened on connections' tasks, events come in on one task of their own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use ossmark_protocol::{Event, Generator, Load, RequestId, StepOutputs, TokenId};
use rustc_hash::FxHashMap;

use crate::answer_buffer::AnswerBuffer;
use crate::error::ApiError;
use crate::events::{EngineEvents, Limits};
use crate::metrics::Metrics;
use crate::new_request::NewRequest;

pub(crate) struct RequestRegistry {
    generator: Arc<dyn Generator>,
    metrics: Arc<Metrics>,
    open: Mutex<FxHashMap<u64, Arc<AnswerBuffer>>>,
    next_id: AtomicU64,
    vocab_size: usize,
    seed: u64,
    /// Requests that the engine was given less those that it has ended: must return to zero.
    in_engine: AtomicU64,
    fatal_error: OnceLock<String>,
}

impl RequestRegistry {
    pub(crate) fn new(
        generator: Arc<dyn Generator>,
        limits: &Limits,
        seed: u64,
        metrics: &Arc<Metrics>,
    ) -> Self {
        Self {
            vocab_size: limits.vocab_size as usize,
            generator,
            metrics: Arc::clone(metrics),
            open: Mutex::default(),
            next_id: AtomicU64::new(0),
            seed,
            in_engine: AtomicU64::new(0),
            fatal_error: OnceLock::new(),
        }
    }

    fn open(&self) -> MutexGuard<'_, FxHashMap<u64, Arc<AnswerBuffer>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The message of an engine that is dead.
    pub(crate) fn fatal_error(&self) -> Option<&str> {
        self.fatal_error.get().map(String::as_str)
    }

    /// Refuses once the engine is dead.
    pub(crate) fn check_alive(&self) -> Result<(), ApiError> {
        self.fatal_error()
            .map_or(Ok(()), |message| Err(engine_dead(message)))
    }

    pub(crate) fn in_engine(&self) -> u64 {
        self.in_engine.load(Relaxed)
    }

    pub(crate) fn load(&self) -> Vec<Load> {
        self.generator.load()
    }

    fn check(&self, prompt: &[TokenId], max_new_tokens: u32) -> Result<(), ApiError> {
        self.generator
            .check(prompt, max_new_tokens)
            .map_err(|error| ApiError::bad(error.to_string()))
    }

    /// The longest answer, within a factor of two, that this prompt leaves room for.
    pub(crate) fn max_new_tokens(
        &self,
        prompt: &[TokenId],
        max_context: u32,
    ) -> Result<u32, ApiError> {
        self.check(prompt, 1)?;
        let mut n = max_context.saturating_sub(prompt.len() as u32).max(1);
        // The KV pool may be smaller than the context.
        while n > 1 && self.check(prompt, n).is_err() {
            n /= 2;
        }
        Ok(n)
    }

    /// Hands requests to the engine, all or none, and gives each its number. `interval` as in [`AnswerBuffer`].
    pub(crate) fn submit(
        &self,
        new: Vec<NewRequest>,
        interval: Option<usize>,
    ) -> Result<Vec<(u64, Arc<AnswerBuffer>)>, ApiError> {
        for request in &new {
            self.check(&request.prompt, request.max_new_tokens)?;
        }
        let n = new.len() as u64;
        let prompt_tokens: usize = new.iter().map(|request| request.prompt.len()).sum();
        let first = self.next_id.fetch_add(n, Relaxed);
        let mut requests = Vec::with_capacity(new.len());
        let mut opened = Vec::with_capacity(new.len());
        for (mut request, id) in new.into_iter().zip(first..) {
            let stop = std::mem::take(&mut request.stop);
            let text = request.stop_text.take();
            let buffer = AnswerBuffer::new(stop, interval).with_text(text);
            let collector = request.logprobs.take();
            let want_logits = collector.is_some();
            opened.push((
                id,
                Arc::new(buffer.with_logprobs(collector, self.vocab_size)),
            ));
            requests.push(request.numbered(id, self.seed, want_logits));
        }
        self.open().extend(opened.iter().cloned());
        self.in_engine.fetch_add(n, Relaxed);
        let submitted = self.generator.submit(requests);
        // Looked at after the buffers are in place: whoever declares the engine dead fails all that it finds.
        if submitted.is_err() || self.fatal_error().is_some() {
            // The engine never had them.
            let mut open = self.open();
            for (id, _) in &opened {
                open.remove(id);
            }
            self.left_engine(n);
            return Err(engine_dead(
                self.fatal_error().unwrap_or("it takes no more requests"),
            ));
        }
        self.metrics
            .prompt_tokens
            .fetch_add(prompt_tokens as u64, Relaxed);
        Ok(opened)
    }

    /// Ends a request that nobody waits for any more.
    pub(crate) fn cancel(&self, id: u64) {
        // Whoever takes it out of the table tells the engine; the end may be on its way.
        if self.open().remove(&id).is_some() {
            self.metrics.cancelled.fetch_add(1, Relaxed);
            self.generator.cancel(vec![RequestId(id)]);
        }
    }

    fn left_engine(&self, n: u64) {
        // A dead engine's count was set to zero: what comes late must not take it below.
        let less = |count: u64| Some(count.saturating_sub(n));
        let _ = self.in_engine.fetch_update(Relaxed, Relaxed, less);
    }

    /// Hands on everything that the engine sends, until it sends no more.
    pub(crate) async fn fan_out(self: Arc<Self>, mut events: EngineEvents) {
        let mut batch = Vec::new();
        while events.0.recv_many(&mut batch, 64).await > 0 {
            for event in batch.drain(..) {
                match event {
                    Event::Step(step) => self.step(step),
                    Event::Fatal(message) => self.fail_all(message),
                }
            }
        }
        self.fail_all("the engine has ended".into());
    }

    fn step(&self, step: StepOutputs) {
        let now = Instant::now();
        let (mut wakers, mut cancelled) = (Vec::new(), Vec::new());
        let mut tokens = &step.tokens[..];
        let (mut counted, mut finished) = (0, 0);
        let mut open = self.open();
        for out in step.outputs {
            let (mine, rest) = tokens.split_at(out.n_tokens as usize);
            tokens = rest;
            finished += u64::from(out.end.is_some());
            // Gone: its client went away, and the engine has not heard of it yet.
            let Some(buffer) = open.get(&out.id.0) else {
                continue;
            };
            let appended = buffer.append(mine, &out.logits, out.end, now);
            counted += appended.tokens as u64;
            wakers.extend(appended.waker);
            if let Some(ttft) = appended.ttft {
                self.metrics.latencies.first_token.observe(ttft);
            }
            if let Some(tpot) = appended.tpot {
                self.metrics.latencies.per_token.observe(tpot);
            }
            if appended.cancel {
                cancelled.push(out.id);
            }
            if appended.finished {
                open.remove(&out.id.0);
            }
        }
        drop(open);
        self.metrics.generated_tokens.fetch_add(counted, Relaxed);
        self.left_engine(finished);
        wakers.into_iter().for_each(std::task::Waker::wake);
        if !cancelled.is_empty() {
            self.generator.cancel(cancelled);
        }
    }

    /// From here on every request, open or to come, fails with the message of the engine.
    fn fail_all(&self, message: String) {
        let message = self.fatal_error.get_or_init(|| message);
        let open = std::mem::take(&mut *self.open());
        self.in_engine.store(0, Relaxed);
        for buffer in open.into_values() {
            if let Some(waker) = buffer.fail(message) {
                waker.wake();
            }
        }
    }
}

fn engine_dead(message: &str) -> ApiError {
    ApiError::engine(format!("the engine is dead: {message}"))
}
