//! The seam between the harness and whatever produces tokens. Answers never come back through a call: they go to the
//! sink that the generator was built with, on a thread of the generator's own.

pub(crate) mod choice;
pub(crate) mod device;
pub(crate) mod drill;
pub(crate) mod echo;
pub(crate) mod local;
pub(crate) mod null;
pub(crate) mod remote;
pub(crate) mod replicas;
pub(crate) mod weights;

use ossmark_engine::types::{Request, RequestId, TokenId};
use ossmark_serve::Load;
use serde_json::Value;

/// Produces tokens for requests. `submit` runs on LoadGen's issue thread and must not block.
pub(crate) trait Generator: Send + Sync {
    /// Takes requests; every one of them ends in exactly one `SeqOutput` with `end`, or in `Event::Fatal`.
    fn submit(&self, requests: Vec<Request>) -> Result<(), Closed>;
    /// Whether a request could be answered if it ran alone; what only looks at prompts' rows takes everything.
    fn check(&self, _prompt: &[TokenId], _max_new_tokens: u32) -> anyhow::Result<()> {
        Ok(())
    }
    /// Ends requests early: each that is still open gets `End::Cancelled` as its one end; others are ignored.
    fn cancel(&self, ids: Vec<RequestId>);
    /// How each engine behind it is doing; empty where there is nothing to tell.
    fn load(&self) -> Vec<Load> {
        Vec::new()
    }
    /// For the run's record, what only the generator knows of who answers; null where the plan says it all.
    fn describe(&self) -> Value {
        Value::Null
    }
    /// For the verdict's metrics, what happened on the way to the answers; null where nothing can.
    fn stats(&self) -> Value {
        Value::Null
    }
    /// No more requests will come: called after the test, and to abandon what is open.
    fn shutdown(&self);
}

/// The generator no longer takes requests.
#[derive(Debug, thiserror::Error)]
#[error("the engine no longer takes requests")]
pub(crate) struct Closed;
