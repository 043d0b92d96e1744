//! What other threads may know of the engine at any time. Owns counters; written on the engine thread only.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::scheduler::Scheduler;
use crate::types::StepOutputs;

/// A snapshot of the engine; its numbers may stem from neighbouring steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Sequences that have a slot.
    pub running: u64,
    /// Sequences that the engine has taken in and that have no slot: new or preempted.
    pub waiting: u64,
    /// Blocks of the KV pool that nobody holds.
    pub free_blocks: u64,
    /// Steps finished so far.
    pub steps: u64,
    /// Tokens delivered so far.
    pub tokens: u64,
    /// Preemptions so far.
    pub preemptions: u64,
}

#[derive(Debug, Default)]
pub(crate) struct SharedStats {
    running: AtomicU64,
    waiting: AtomicU64,
    free_blocks: AtomicU64,
    steps: AtomicU64,
    tokens: AtomicU64,
    preemptions: AtomicU64,
}

impl SharedStats {
    pub(crate) fn publish(&self, scheduler: &Scheduler) {
        self.running.store(scheduler.n_running() as u64, Relaxed);
        self.waiting.store(scheduler.n_waiting() as u64, Relaxed);
        self.free_blocks
            .store(u64::from(scheduler.pool().n_free()), Relaxed);
        self.preemptions.store(scheduler.preemptions(), Relaxed);
    }

    pub(crate) fn count(&self, step: &StepOutputs) {
        self.steps.fetch_add(1, Relaxed);
        self.tokens.fetch_add(step.tokens.len() as u64, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> EngineStats {
        EngineStats {
            running: self.running.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            free_blocks: self.free_blocks.load(Relaxed),
            steps: self.steps.load(Relaxed),
            tokens: self.tokens.load(Relaxed),
            preemptions: self.preemptions.load(Relaxed),
        }
    }
}
