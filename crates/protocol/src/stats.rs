//! How an engine is doing.

use std::time::Duration;

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
    /// Time in which they were waited for, all together.
    pub step_time: Duration,
    /// Rows of all steps together: input tokens, of prompts and of sequences that decode.
    pub step_rows: u64,
    /// Tokens delivered so far.
    pub tokens: u64,
    /// Preemptions so far.
    pub preemptions: u64,
    /// What was drafted so far.
    pub speculation: SpeculationStats,
}

/// Most tokens drafted at a time: a later one is right only if all before it are.
pub const MOST_DRAFTED: usize = 16;

/// Rounds of speculation that drafted something, and what became of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpeculationStats {
    /// How many.
    pub rounds: u64,
    /// Rounds that drafted a first, a second, … token.
    pub drafted: [u64; MOST_DRAFTED],
    /// Rounds in which it was accepted; in all the steps that were saved.
    pub accepted: [u64; MOST_DRAFTED],
}

impl SpeculationStats {
    /// Takes in another engine's.
    pub fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        for (all, more) in [
            (&mut self.drafted, &other.drafted),
            (&mut self.accepted, &other.accepted),
        ] {
            all.iter_mut().zip(more).for_each(|(n, more)| *n += more);
        }
    }

    /// What came after an earlier snapshot.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let less = |now: [u64; MOST_DRAFTED], then: &[u64; MOST_DRAFTED]| {
            let mut of_place = now.iter().zip(then).map(|(now, then)| now - then);
            std::array::from_fn(|_| of_place.next().unwrap_or(0))
        };
        Self {
            rounds: self.rounds - before.rounds,
            drafted: less(self.drafted, &before.drafted),
            accepted: less(self.accepted, &before.accepted),
        }
    }

    /// Tokens a round on average, the model's own included; none without a round.
    #[must_use]
    pub fn acceptance_length(&self) -> Option<f64> {
        let accepted: u64 = self.accepted.iter().sum();
        (self.rounds > 0).then(|| 1.0 + accepted as f64 / self.rounds as f64)
    }

    /// Tokens drafted in the longest round.
    #[must_use]
    pub fn most_drafted(&self) -> usize {
        self.drafted.iter().take_while(|n| **n > 0).count()
    }
}

/// One engine at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Its own numbers.
    pub stats: EngineStats,
    /// Blocks in its KV pool.
    pub total_blocks: u64,
}
