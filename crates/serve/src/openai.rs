//! OpenAI's interface: completions, chat, responses and the list of models, with vLLM's additions.

pub(crate) mod chat;
mod common;
pub(crate) mod completions;
mod logprobs;
pub(crate) mod models;
pub(crate) mod responses;
