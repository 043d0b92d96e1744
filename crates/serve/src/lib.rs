//! `ossmark serve`: an engine behind HTTP. SGLang's `/generate`, OpenAI's `/v1/completions`, `/v1/chat/completions`
//! and `/v1/models`, what gateways and load generators ask beside them, `/health` and `/metrics`.
//!
//! Owns connections, their limits and time-outs, the shapes of both interfaces, and which request a token belongs to. Does
//! not own the engine: a [`Generator`] takes requests, and its events come in through the [`Sink`] of [`channel`]. Everything
//! here runs on the threads of the caller's tokio runtime; the sink runs on the engine's thread and only hands on.
//!
//! [`Generator`]: ossmark_protocol::Generator
//! [`Sink`]: ossmark_protocol::Sink
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

mod access;
mod admission;
mod answer;
mod answer_buffer;
mod answer_delta;
mod answer_format;
mod api_key;
mod async_tokenizer;
mod body;
mod clock;
mod error;
mod events;
mod generate;
mod host;
mod info;
mod known_fields;
mod logprobs;
mod metrics;
mod model_tokenizer;
mod net;
mod new_request;
mod open_request;
mod openai;
mod options;
mod peer;
mod prompts;
mod request_registry;
mod routes;
mod settings;
mod sse;
mod state;
mod stop_text;
mod text_tokens;
mod tokenize;
mod write_timeout;

pub use api_key::ApiKey;
pub use error::ServeError;
pub use events::{EngineEvents, Limits, channel};
pub use model_tokenizer::ModelTokenizer;
pub use net::{bind, raise_open_files, serve};
pub use settings::{DraftHead, Settings, model_name};
pub use state::AppState;
