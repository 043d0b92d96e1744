//! OpenAI's POST /v1/chat/completions with `return_token_ids`: vLLM from 0.10.2, and `ossmark serve`. A server renders
//! conversations itself, so that a prompt is no list of ids: it is one id, the place of what the user says in
//! [`crate::Settings::messages`].

use std::sync::Arc;

use ossmark_protocol::Request;

use super::{Dialect, SamplingNames, completions};
use crate::answer::{Answer, ResponseChunk};

/// A model of a server, and what it is asked.
#[derive(Debug)]
pub(super) struct Chat {
    pub(super) model: String,
    pub(super) messages: Arc<[Box<str>]>,
}

const NO_IDS: &str = "the response has no token_ids; this server does not return them from its chat API, and text is not \
                      tokenised again: use vLLM 0.10.2 or later, or another --api";

impl Dialect for Chat {
    fn name(&self) -> &'static str {
        "/v1/chat/completions"
    }

    fn path(&self) -> &'static str {
        "/v1/chat/completions"
    }

    fn names(&self) -> SamplingNames {
        SamplingNames {
            max_tokens: "max_completion_tokens",
            ..SamplingNames::VLLM
        }
    }

    fn body(&self, request: &Request, stream: bool) -> Result<Vec<u8>, String> {
        let said = match request.prompt[..] {
            [place] => self.messages.get(place as usize),
            _ => None,
        };
        let said = said.ok_or("the prompt is the place of no message")?;
        let ask = |body: &mut Vec<u8>| {
            body.extend_from_slice(b"\"messages\":[{\"role\":\"user\",\"content\":");
            // Writing a string into memory cannot fail.
            let _ = serde_json::to_writer(&mut *body, said);
            body.extend_from_slice(b"}]");
        };
        let extra = "\"return_token_ids\":true";
        completions::body_asking(request, stream, &self.model, &self.names(), extra, ask)
    }

    fn read(&self, body: &[u8]) -> Result<ResponseChunk, String> {
        let chunk = completions::read_chat(body)?;
        if chunk.ids.is_empty() && chunk.total > Some(0) {
            return Err(NO_IDS.into());
        }
        Ok(chunk)
    }

    fn read_event(&self, data: &[u8]) -> Result<ResponseChunk, String> {
        completions::read_chat(data)
    }

    /// A piece may have text whose ids another brings; the count of tokens tells whether any went missing.
    fn add(&self, chunk: &ResponseChunk, answer: &mut Answer) -> Result<(), String> {
        if chunk.total > Some(0) && chunk.ids.is_empty() && answer.tokens().is_empty() {
            return Err(NO_IDS.into());
        }
        answer.add_new(chunk).map(|_| ())
    }
}
