//! What other threads may know of the engine at any time. Owns counters; written on the engine thread only.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ossmark_protocol::{EngineStats, MOST_DRAFTED, SpeculationStats, StepOutputs};

use crate::scheduler::Scheduler;

#[derive(Debug, Default)]
pub(crate) struct SharedStats {
    running: AtomicU64,
    waiting: AtomicU64,
    free_blocks: AtomicU64,
    steps: AtomicU64,
    step_ns: AtomicU64,
    step_rows: AtomicU64,
    tokens: AtomicU64,
    preemptions: AtomicU64,
    rounds: AtomicU64,
    drafted: [AtomicU64; MOST_DRAFTED],
    accepted: [AtomicU64; MOST_DRAFTED],
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
        self.step_ns.fetch_add(step.took.as_nanos() as u64, Relaxed);
        self.step_rows.fetch_add(step.rows, Relaxed);
        self.tokens.fetch_add(step.tokens.len() as u64, Relaxed);
        for round in step.rounds.iter().filter(|r| !r.drafted.is_empty()) {
            self.rounds.fetch_add(1, Relaxed);
            let first = |counts: &[AtomicU64], n: usize| {
                counts.iter().take(n).for_each(|count| {
                    count.fetch_add(1, Relaxed);
                });
            };
            first(&self.drafted, round.drafted.len());
            first(&self.accepted, round.accepted as usize);
        }
    }

    pub(crate) fn snapshot(&self) -> EngineStats {
        EngineStats {
            running: self.running.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            free_blocks: self.free_blocks.load(Relaxed),
            steps: self.steps.load(Relaxed),
            step_time: Duration::from_nanos(self.step_ns.load(Relaxed)),
            step_rows: self.step_rows.load(Relaxed),
            tokens: self.tokens.load(Relaxed),
            preemptions: self.preemptions.load(Relaxed),
            speculation: SpeculationStats {
                rounds: self.rounds.load(Relaxed),
                drafted: self.drafted.each_ref().map(|n| n.load(Relaxed)),
                accepted: self.accepted.each_ref().map(|n| n.load(Relaxed)),
            },
        }
    }
}
