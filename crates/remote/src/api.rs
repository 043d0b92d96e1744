//! What the two APIs have in common: a request's body, and what comes back.

use ossmark_engine::types::{Request, TokenId};

use crate::answer::Answer;
use crate::quote::{quote, quote_bytes};
use crate::settings::Api;
use crate::{openai, sglang};

/// An API as a server turned out to speak it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sglang {
        /// Whether it takes `sampling_seed`.
        seed: bool,
    },
    OpenAi {
        model: String,
        ids: AskForIds,
    },
}

/// How an OpenAI-compatible server is asked for token ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskForIds {
    /// vLLM from 0.10.2, and `ossmark serve`.
    ReturnTokenIds,
    /// TensorRT-LLM, which refuses fields that it does not know.
    NoDetokenize,
}

impl Dialect {
    pub(crate) fn api(&self) -> Api {
        match self {
            Self::Sglang { .. } => Api::Sglang,
            Self::OpenAi { .. } => Api::OpenAi,
        }
    }

    /// Where prompts go.
    pub(crate) fn path(&self) -> &'static str {
        match self {
            Self::Sglang { .. } => "/generate",
            Self::OpenAi { .. } => "/v1/completions",
        }
    }

    /// The body of a request, in JSON.
    pub(crate) fn body(&self, request: &Request, stream: bool) -> Vec<u8> {
        match self {
            Self::Sglang { seed } => sglang::body(request, stream, *seed),
            Self::OpenAi { model, ids } => openai::body(request, stream, model, *ids),
        }
    }

    /// A response that came whole.
    pub(crate) fn whole(&self, body: &[u8], answer: &mut Answer) -> Result<(), String> {
        let said = match self {
            Self::Sglang { .. } => sglang::read(body),
            Self::OpenAi { .. } => openai::read(body),
        }?;
        answer.add_whole(&said).map(|_| ())
    }

    /// The data of one event of a stream; whether it was the last.
    pub(crate) fn piece(&self, data: &[u8], answer: &mut Answer) -> Result<bool, String> {
        if data == b"[DONE]" {
            return Ok(true);
        }
        match self {
            Self::Sglang { .. } => answer.add_counted(&sglang::read(data)?),
            Self::OpenAi { .. } => answer.add_new(&openai::read_piece(data)?),
        }
        .map(|_| false)
    }
}

pub(crate) fn push_ids(body: &mut Vec<u8>, ids: &[TokenId]) {
    let mut digits = itoa::Buffer::new();
    body.push(b'[');
    for (i, id) in ids.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        body.extend_from_slice(digits.format(*id).as_bytes());
    }
    body.push(b']');
}

/// The message of an error object, which servers put where an answer should be.
pub(crate) fn error_text(error: &serde_json::Value) -> String {
    let message = error["message"].as_str().or(error.as_str());
    let text = message.map_or_else(|| error.to_string(), str::to_owned);
    format!("the server says: {}", quote(&text))
}

/// Where JSON that a server sent stops making sense.
pub(crate) fn bad_json(error: &serde_json::Error, body: &[u8]) -> String {
    format!(
        "not the JSON that this API answers with ({}): {}",
        // Names what it found, whole.
        quote(&error.to_string()),
        quote_bytes(body)
    )
}
