//! TensorRT-LLM's `trtllm-serve`, which refuses fields that it does not know: ids come where text was not asked for.

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
        "TensorRT-LLM /v1/completions"
    }

    fn path(&self) -> &'static str {
        "/v1/completions"
    }

    fn names(&self) -> SamplingNames {
        SamplingNames::VLLM
    }

    fn body(&self, request: &Request, stream: bool) -> Result<Vec<u8>, String> {
        let extra = "\"detokenize\":false";
        completions::body(request, stream, &self.model, &self.names(), extra)
    }

    fn read(&self, body: &[u8]) -> Result<ResponseChunk, String> {
        completions::read(body)
    }

    fn read_event(&self, data: &[u8]) -> Result<ResponseChunk, String> {
        completions::read_chunk(data)
    }
}
