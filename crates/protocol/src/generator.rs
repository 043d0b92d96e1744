//! The seam between whoever has prompts and whatever produces tokens.

use serde::Serialize;

use crate::{Closed, Load, Request, RequestError, RequestId, TokenId};

/// Produces tokens for requests. Answers never come back through a call: they go to the [`crate::Sink`] that the generator
/// was built with, on a thread of its own. Its methods are called on threads that answer LoadGen or clients and must not block.
pub trait Generator: Send + Sync {
    /// Takes requests; every one of them ends in exactly one [`crate::SeqOutput`] with `end`, or in [`crate::Event::Fatal`].
    ///
    /// # Errors
    /// When it takes no more requests.
    fn submit(&self, requests: Vec<Request>) -> Result<(), Closed>;
    /// Whether a request could be answered if it ran alone; what only looks at prompts' rows takes everything.
    ///
    /// # Errors
    /// Why not, for people.
    fn check(&self, _prompt: &[TokenId], _max_new_tokens: u32) -> Result<(), RequestError> {
        Ok(())
    }
    /// Ends requests early: each that is still open gets `End::Cancelled` as its one end; others are ignored.
    fn cancel(&self, ids: Vec<RequestId>);
    /// How each engine behind it is doing; empty where there is nothing to tell.
    fn load(&self) -> Vec<Load> {
        Vec::new()
    }
    /// For the run's record, what only the generator knows of who answers; none where the plan says it all.
    fn describe(&self) -> Option<Description> {
        None
    }
    /// For the verdict's metrics, what happened on the way to the answers; none where nothing can.
    fn stats(&self) -> Option<RemoteStats> {
        None
    }
    /// No more requests will come: called after the test, and to abandon what is open.
    fn shutdown(&self) {}
}

/// Who answers, and how it is asked: `remote` in `run_plan.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// In the order of the command line.
    pub servers: Vec<Server>,
    /// Requests under way at once over all servers.
    pub max_concurrency: usize,
    /// Seconds that a request may take.
    pub timeout_s: f64,
    /// How often a request is sent again whose connection broke.
    pub retries: u32,
    /// Whether tokens are asked for as they come.
    pub stream: bool,
    /// Tokens that servers are asked to gather in each piece after the first; 1 asks nobody.
    pub stream_interval: u32,
    /// Threads that read answers.
    pub threads: usize,
    /// Whether a key is sent; never which.
    pub with_key: bool,
    /// How the servers differ from each other, a sentence each: deviations of a run.
    pub differences: Vec<String>,
    /// What a server shows to nobody who asks it, and what it cannot be told.
    pub not_seen_from_here: Vec<String>,
}

/// A server as it turned out to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Server {
    /// Its address, without credentials.
    pub endpoint: String,
    /// The API that it is asked by.
    pub api: &'static str,
    /// Whether it takes a request's seed.
    pub seed_is_sent: bool,
    /// What it says is its version.
    pub version: Option<String>,
    /// Most tokens of a prompt and its answer together, as it says.
    pub max_model_len: Option<u64>,
    /// Its settings that bear on answers or speed, as it says.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// What it says of its model, as it says it.
    pub model_info: serde_json::Value,
}

/// What happened on the way to servers: `remote` in a verdict's metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemoteStats {
    /// Requests that were sent, each once however often it was retried.
    pub requests: u64,
    /// Requests that ended in `End::Failed`.
    pub failed: u64,
    /// Of those, the ones that took too long.
    pub timed_out: u64,
    /// Times that a request was sent again.
    pub retries: u64,
    /// Times that a request was held for a server to come back, and sent anew (`infer --hold`).
    pub held: u64,
    /// Connections opened.
    pub connections: u64,
    /// Events of streams that were read.
    pub pieces: u64,
    /// A retry that went elsewhere counts there.
    pub by_endpoint: Vec<EndpointStats>,
}

/// What happened on the way to one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointStats {
    /// Its address.
    pub endpoint: String,
    /// Requests that it got.
    pub requests: u64,
    /// Of those, the ones under way there now.
    pub open: u64,
    /// Times that a request had to be sent again because it failed here.
    pub retries: u64,
    /// Requests that took too long here.
    pub timed_out: u64,
}
