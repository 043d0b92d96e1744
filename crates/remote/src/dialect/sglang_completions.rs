//! SGLang's /v1/completions since 2026-07: each piece of a stream has its own ids, whatever the server's flags.

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
        "SGLang /v1/completions"
    }

    fn path(&self) -> &'static str {
        "/v1/completions"
    }

    fn names(&self) -> SamplingNames {
        SamplingNames {
            // 0 is an error.
            all_tokens: -1,
            ..SamplingNames::VLLM
        }
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
