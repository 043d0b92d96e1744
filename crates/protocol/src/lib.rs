//! What harness, engine, servers and clients say to each other: requests, the events that answer them, who answers
//! ([`Generator`]), and how that is going.
//!
//! Owns types and the checks that belong to them alone. Knows no LoadGen, no HTTP, no model; computes nothing. Any thread.
#![forbid(unsafe_code)]

mod closed;
mod device;
mod error;
mod events;
mod generator;
mod ids;
mod request;
mod sampling;
mod seed;
mod stats;

pub use closed::Closed;
pub use device::DeviceFigures;
pub use error::RequestError;
pub use events::{End, Event, Round, SeqOutput, Sink, StepOutputs};
pub use generator::{Description, EndpointStats, Generator, RemoteStats, Server};
pub use ids::{RequestId, TokenId};
pub use request::{Request, StopTokens};
pub use sampling::Sampling;
pub use seed::{MAX_SEED, request_seed};
pub use stats::{EngineStats, Load, MOST_DRAFTED, SpeculationStats};
