//! OpenAI's interface: completions, chat and the list of models, with vLLM's additions.

pub(crate) mod chat;
mod common;
pub(crate) mod completions;
pub(crate) mod models;
