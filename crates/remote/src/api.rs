//! What the two APIs have in common: a request's body, and what comes back.

use ossmark_protocol::Request;

use crate::answer::Answer;
use crate::openai::{self, AskForIds};
use crate::settings::Api;
use crate::sglang;

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
    pub(crate) fn take_response(&self, body: &[u8], answer: &mut Answer) -> Result<(), String> {
        let chunk = match self {
            Self::Sglang { .. } => sglang::read(body),
            Self::OpenAi { .. } => openai::read(body),
        }?;
        answer.add_response(&chunk).map(|_| ())
    }

    /// The data of one event of a stream; whether it was the last.
    pub(crate) fn take_chunk(&self, data: &[u8], answer: &mut Answer) -> Result<bool, String> {
        if data == b"[DONE]" {
            return Ok(true);
        }
        match self {
            Self::Sglang { .. } => answer.add_counted(&sglang::read(data)?),
            Self::OpenAi { .. } => answer.add_new(&openai::read_chunk(data)?),
        }
        .map(|_| false)
    }
}
