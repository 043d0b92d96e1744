//! Why a request is refused.

use crate::{Closed, TokenId};

/// Why a request can never be answered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what each field is")]
pub enum RequestError {
    /// No prompt.
    #[error("the prompt is empty: give at least one token")]
    EmptyPrompt,
    /// A token that the model does not have.
    #[error(
        "prompt token {token} at position {position} is outside the vocabulary of {vocab_size}: was the prompt tokenized for this model?"
    )]
    TokenOutsideVocabulary {
        token: TokenId,
        position: usize,
        vocab_size: u32,
    },
    /// Nothing to generate.
    #[error("max_new_tokens is 0: ask for at least one token")]
    NoNewTokens,
    /// The prompt leaves no room for a single token.
    #[error("the prompt has {prompt} tokens, but the context of {max_context} leaves room for at most {} with one generated token: shorten the prompt", .max_context - 1)]
    PromptBeyondContext { prompt: usize, max_context: u32 },
    /// A server would refuse it.
    #[error(
        "the prompt has {prompt} tokens and {new} more may be generated, but {server} takes {max} together (max_model_len): raise that (vLLM --max-model-len, SGLang --context-length) or lower --max-new-tokens"
    )]
    BeyondServersContext {
        prompt: usize,
        new: u32,
        max: u64,
        server: String,
    },
    /// The sequence would not fit even if it ran alone.
    #[error(
        "a prompt of {prompt} tokens with up to {new} generated needs {needed} KV blocks of {block_size} positions at once, but the pool has {n_blocks}: raise the memory budget or lower max_new_tokens"
    )]
    PoolTooSmall {
        prompt: usize,
        new: u32,
        needed: u32,
        block_size: u32,
        n_blocks: u32,
    },
    /// A sampling parameter out of range.
    #[error("{name} is {value}, expected {expected}")]
    Sampling {
        name: &'static str,
        value: f32,
        expected: &'static str,
    },
    /// Nobody is there any more who could answer it.
    #[error(transparent)]
    Closed(#[from] Closed),
}
