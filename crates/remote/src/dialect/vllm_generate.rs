//! vLLM's POST /inference/v1/generate (with `--enable-scale-out`): tokens in, tokens out, no text made on the way. Source:
//! vLLM's `entrypoints/serve/disagg/protocol.py`.

use std::io::Write;

use ossmark_protocol::Request;

use super::{Dialect, SamplingNames, completions};
use crate::answer::ResponseChunk;
use crate::json::push_ids;

/// A server has one model there.
#[derive(Debug)]
pub(super) struct Generate {
    /// Tokens in each piece of a stream but the first; older versions do not know it.
    pub(super) interval: Option<u32>,
}

impl Dialect for Generate {
    fn name(&self) -> &'static str {
        "vLLM /inference/v1/generate"
    }

    fn path(&self) -> &'static str {
        "/inference/v1/generate"
    }

    fn names(&self) -> SamplingNames {
        SamplingNames::VLLM
    }

    fn gathers(&self) -> bool {
        self.interval.is_some()
    }

    fn body(&self, request: &Request, stream: bool) -> Result<Vec<u8>, String> {
        let mut body = Vec::with_capacity(request.prompt.len() * 7 + 400);
        body.extend_from_slice(b"{\"token_ids\":");
        push_ids(&mut body, &request.prompt);
        body.extend_from_slice(b",\"sampling_params\":{");
        self.names().push(&mut body, request)?;
        if let Some(interval) = self.interval.filter(|_| stream) {
            let _ = write!(body, ",\"stream_interval\":{interval}");
        }
        let _ = write!(body, "}},\"stream\":{stream}");
        if stream {
            body.extend_from_slice(b",\"stream_options\":{\"include_usage\":true}");
        }
        body.push(b'}');
        Ok(body)
    }

    /// The same shape as a completion's, with ids in place of text.
    fn read(&self, body: &[u8]) -> Result<ResponseChunk, String> {
        completions::read(body)
    }

    fn read_event(&self, data: &[u8]) -> Result<ResponseChunk, String> {
        completions::read_chunk(data)
    }
}
