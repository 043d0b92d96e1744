//! What can go wrong with a running engine. Trouble with one request is [`ossmark_protocol::RequestError`], trouble with a
//! checkpoint is a load error.

use std::time::Duration;

use crate::blocks::BlockError;
use crate::executor::ExecError;

/// Why the engine did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A setting that cannot work.
    #[error("engine setting {name} is {found}, expected {expected}")]
    Setting {
        /// The field of [`crate::EngineSettings`].
        name: &'static str,
        /// Its value.
        found: String,
        /// What would work.
        expected: String,
    },
    /// An executor whose limits cannot work.
    #[error("the executor's {name} is {found}, expected {expected}")]
    Capacity {
        /// The field of [`crate::executor::Capacity`].
        name: &'static str,
        /// Its value.
        found: u32,
        /// What would work.
        expected: &'static str,
    },
    /// The engine thread could not be started.
    #[error("cannot start the engine thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The device or the model failed.
    #[error("engine step {step} failed: {source}")]
    Step {
        /// Counted from 1.
        step: u64,
        /// What the executor said.
        source: ExecError,
    },
    /// The executor returned something that was not asked for.
    #[error("the result of engine step {step} is unusable: {what}")]
    BadStep {
        /// Counted from 1.
        step: u64,
        /// What was found and what was expected.
        what: String,
    },
    /// A panic on the engine thread.
    #[error("the engine panicked: {0}")]
    Panicked(String),
    /// The block pool's books are wrong.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// Work is left, nothing is in flight, and nothing can be planned.
    #[error(
        "the scheduler cannot go on ({running} running, {waiting} waiting, {free} of {n_blocks} blocks free): a defect in the engine, please report it"
    )]
    Stuck {
        /// Sequences with a slot.
        running: usize,
        /// Sequences without.
        waiting: usize,
        /// Free blocks.
        free: u32,
        /// Blocks in the pool.
        n_blocks: u32,
    },
    /// The engine thread did not end in time; it was left behind.
    #[error(
        "the engine thread did not stop within {0:?}: the step that runs on the device does not return"
    )]
    ShutdownTimeout(Duration),
}
