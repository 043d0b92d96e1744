//! Prompts to serving systems over HTTP, as token ids in both directions: SGLang's `/generate` and OpenAI's
//! `/v1/completions` as vLLM and TensorRT-LLM extend it.
//!
//! Owns: connections, routing over several servers, retries, time limits, and what makes an answer credible. Does not own:
//! LoadGen, tokenising, what a request is about. Threads of its own do all of it, each with a tokio runtime, one or as many as
//! [`Settings::threads`] says; a request stays on one of them. The handle may be used from every thread.
//!
//! An answer is reported as it was received or not at all: whatever is missing, late, cut off or inconsistent ends as
//! `End::Failed` with a message, never as a shorter answer.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

mod answer;
mod balancer;
mod connection;
mod dialect;
mod dispatch;
mod endpoint;
mod error;
mod exchange;
mod fleet;
mod hold;
mod http;
mod json;
mod lane;
mod outbox;
mod probe;
mod quote;
mod remote;
mod room;
mod sampling_names;
mod settings;
mod sources;
pub mod sse;
mod stats;
mod tls;
mod worker;

#[cfg(test)]
mod allocations;
#[cfg(test)]
mod fuzz;

pub use endpoint::Endpoint;
pub use error::Error;
pub use probe::ServerInfo;
pub use remote::Remote;
pub use settings::{Api, Settings};
pub use stats::{EndpointStats, Stats};
