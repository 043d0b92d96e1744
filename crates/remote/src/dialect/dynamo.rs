//! Dynamo's front end: ids come in `nvext`, with every piece of a stream. It refuses fields that it does not know.

use ossmark_protocol::Request;

use super::{Dialect, SamplingNames, completions};
use crate::answer::ResponseChunk;

/// A model of a server.
#[derive(Debug)]
pub(super) struct Completions {
    pub(super) model: String,
    /// Whether the version knows `min_p`.
    pub(super) min_p: bool,
}

impl Dialect for Completions {
    fn name(&self) -> &'static str {
        "Dynamo /v1/completions"
    }

    fn path(&self) -> &'static str {
        "/v1/completions"
    }

    fn names(&self) -> SamplingNames {
        SamplingNames {
            // 0 is an error.
            all_tokens: -1,
            min_p: self.min_p.then_some("min_p"),
            ..SamplingNames::VLLM
        }
    }

    fn body(&self, request: &Request, stream: bool) -> Result<Vec<u8>, String> {
        let extra = "\"nvext\":{\"extra_fields\":[\"completion_token_ids\",\"prompt_token_ids\"]}";
        completions::body(request, stream, &self.model, &self.names(), extra)
    }

    fn read(&self, body: &[u8]) -> Result<ResponseChunk, String> {
        completions::read(body)
    }

    fn read_event(&self, data: &[u8]) -> Result<ResponseChunk, String> {
        completions::read_chunk(data)
    }
}
