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
}

/// One engine at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Its own numbers.
    pub stats: EngineStats,
    /// Blocks in its KV pool.
    pub total_blocks: u64,
}
