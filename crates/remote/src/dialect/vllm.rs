//! vLLM from 0.10.2, and `ossmark serve`: `return_token_ids` puts `token_ids` into each choice.

use ossmark_protocol::Request;

use super::{Dialect, SamplingNames, completions};
use crate::answer::ResponseChunk;

/// A model of a server.
#[derive(Debug)]
pub(super) struct Completions {
    pub(super) model: String,
}

impl Dialect for Completions {
    fn name(&self) -> &'static str {
        "vLLM /v1/completions"
    }

    fn path(&self) -> &'static str {
        "/v1/completions"
    }

    fn names(&self) -> SamplingNames {
        SamplingNames::VLLM
    }

    fn body(&self, request: &Request, stream: bool) -> Result<Vec<u8>, String> {
        let extra = "\"return_token_ids\":true";
        completions::body(request, stream, &self.model, &self.names(), extra)
    }

    fn read(&self, body: &[u8]) -> Result<ResponseChunk, String> {
        completions::read(body)
    }

    fn read_event(&self, data: &[u8]) -> Result<ResponseChunk, String> {
        completions::read_chunk(data)
    }
}
