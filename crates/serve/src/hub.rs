//! Which request a token belongs to. Owns the requests that are open in the engine, their number, and what is to be said
//! once the engine is dead. Requests are opened on connections' tasks, events come in on one task of their own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use ossmark_protocol::{Event, Generator, Load, RequestId, StepOutputs, TokenId};
use rustc_hash::FxHashMap;

use crate::error::ApiError;
use crate::events::Events;
use crate::job::Job;
use crate::metrics::Metrics;
use crate::slot::Slot;

pub(crate) struct Hub {
    generator: Arc<dyn Generator>,
    metrics: Arc<Metrics>,
    open: Mutex<FxHashMap<u64, Arc<Slot>>>,
    next_id: AtomicU64,
    seed: u64,
    /// Requests that the engine was given less those that it has ended: must return to zero.
    in_engine: AtomicU64,
    dead: OnceLock<String>,
}

impl Hub {
    pub(crate) fn new(generator: Arc<dyn Generator>, seed: u64, metrics: Arc<Metrics>) -> Self {
        Self {
            generator,
            metrics,
            open: Mutex::default(),
            next_id: AtomicU64::new(0),
            seed,
            in_engine: AtomicU64::new(0),
            dead: OnceLock::new(),
        }
    }

    fn open(&self) -> MutexGuard<'_, FxHashMap<u64, Arc<Slot>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The message of an engine that is dead.
    pub(crate) fn dead(&self) -> Option<&str> {
        self.dead.get().map(String::as_str)
    }

    /// Refuses once the engine is dead.
    pub(crate) fn lives(&self) -> Result<(), ApiError> {
        self.dead().map_or(Ok(()), |message| Err(dead(message)))
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

    /// Hands requests to the engine, all or none, and gives each its number. `interval` as in [`Slot`].
    pub(crate) fn submit(
        &self,
        jobs: Vec<Job>,
        interval: Option<usize>,
    ) -> Result<Vec<(u64, Arc<Slot>)>, ApiError> {
        for job in &jobs {
            self.check(&job.prompt, job.max_new_tokens)?;
        }
        let n = jobs.len() as u64;
        let prompt_tokens: usize = jobs.iter().map(|job| job.prompt.len()).sum();
        let first = self.next_id.fetch_add(n, Relaxed);
        let mut requests = Vec::with_capacity(jobs.len());
        let mut opened = Vec::with_capacity(jobs.len());
        for (mut job, id) in jobs.into_iter().zip(first..) {
            let stop = std::mem::take(&mut job.stop);
            opened.push((id, Arc::new(Slot::new(stop, interval))));
            requests.push(job.request(id, self.seed));
        }
        self.open().extend(opened.iter().cloned());
        self.in_engine.fetch_add(n, Relaxed);
        let submitted = self.generator.submit(requests);
        // Looked at after the slots are in place: whoever declares the engine dead fails all slots that it finds.
        if submitted.is_err() || self.dead().is_some() {
            // The engine never had them.
            let mut open = self.open();
            for (id, _) in &opened {
                open.remove(id);
            }
            self.left_engine(n);
            return Err(dead(self.dead().unwrap_or("it takes no more requests")));
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
                self.metrics.latencies.first_token.observe(after);
            }
            if let Some(mean) = taken.per_token {
                self.metrics.latencies.per_token.observe(mean);
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
