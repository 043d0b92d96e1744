//! Text and token ids of gpt-oss.
//!
//! Owns: a model's tokenizer.json, prompts in OpenAI's Harmony format as token ids, and what a model generated as messages by
//! channel. Special tokens are found by their content, never by number. Text is encoded without them: whatever a data set or
//! a client sends, `<|start|>` in it is seven harmless tokens. Does not own: where prompts come from, HTTP, scores. Plain data;
//! any thread may use it.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

#[cfg(feature = "encode")]
mod bounds;
mod error;
mod functions;
#[cfg(feature = "encode")]
mod harmony;
mod json;
mod parse;
mod render;
mod special;
mod stream;
#[cfg(feature = "encode")]
mod tokenizer;
mod vocabulary;

#[cfg(feature = "encode")]
pub use bounds::Bounds;
pub use error::Error;
pub use functions::{Function, Namespace};
#[cfg(feature = "encode")]
pub use harmony::Harmony;
pub use json::Json;
pub use parse::{Channel, Delta, Header, Message, Parser, parse};
pub use render::{Developer, Effort, PromptMessage, PromptPart, System, conversation};
pub use special::{SpecialToken, SpecialTokens};
pub use stream::{TextStream, Utf8Stream};
#[cfg(feature = "encode")]
pub use tokenizer::Tokenizer;
pub use vocabulary::{Decoded, Detokenizer};

/// Shorthand for results of this package.
pub type Result<T, E = Error> = std::result::Result<T, E>;
