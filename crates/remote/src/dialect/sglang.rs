//! SGLang's POST /generate. Source: sglang's `srt/managers/io_struct.py` (GenerateReqInput), `sampling_params.py`,
//! and the output processor of its tokenizer manager.

use std::borrow::Cow;
use std::io::Write;

use ossmark_protocol::{Request, TokenId};
use serde::Deserialize;
use serde_json::Value;

use super::{Dialect, SamplingNames};
use crate::answer::{Answer, Finish, ResponseChunk};
use crate::json::{Few, bad_json, error_text, push_ids};
use crate::quote::quote;

/// With or without fields that older versions do not know.
#[derive(Debug)]
pub(super) struct Generate {
    pub(super) seed: bool,
    /// Tokens in each piece of a stream but the first, which always comes at once.
    pub(super) interval: Option<u32>,
}

impl Dialect for Generate {
    fn name(&self) -> &'static str {
        "SGLang /generate"
    }

    fn path(&self) -> &'static str {
        "/generate"
    }

    fn names(&self) -> SamplingNames {
        SamplingNames {
            max_tokens: "max_new_tokens",
            min_tokens: Some("min_new_tokens"),
            // 0 is an error.
            all_tokens: -1,
            seed: self.seed.then_some("sampling_seed"),
            ..SamplingNames::VLLM
        }
    }

    fn gathers(&self) -> bool {
        self.interval.is_some()
    }

    fn body(&self, request: &Request, stream: bool) -> Result<Vec<u8>, String> {
        let mut body = Vec::with_capacity(request.prompt.len() * 7 + 400);
        body.extend_from_slice(b"{\"input_ids\":");
        push_ids(&mut body, &request.prompt);
        body.extend_from_slice(b",\"sampling_params\":{");
        self.names().push(&mut body, request)?;
        if let Some(interval) = self.interval.filter(|_| stream) {
            let _ = write!(body, ",\"stream_interval\":{interval}");
        }
        let _ = write!(body, "}},\"stream\":{stream}}}");
        Ok(body)
    }

    fn read(&self, body: &[u8]) -> Result<ResponseChunk, String> {
        read(body)
    }

    fn read_event(&self, data: &[u8]) -> Result<ResponseChunk, String> {
        read(data)
    }

    /// New ids or all so far, by version and flags.
    fn add(&self, chunk: &ResponseChunk, answer: &mut Answer) -> Result<(), String> {
        answer.add_counted(chunk).map(|_| ())
    }
}

#[derive(Deserialize)]
struct Reply<'a> {
    output_ids: Option<Few<TokenId, 16>>,
    #[serde(borrow)]
    meta_info: Option<Meta<'a>>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    completion_tokens: Option<u64>,
    prompt_tokens: Option<u64>,
    #[serde(borrow)]
    finish_reason: Option<Reason<'a>>,
}

#[derive(Deserialize)]
struct Reason<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
}

/// A whole response, or one piece of a stream.
fn read(body: &[u8]) -> Result<ResponseChunk, String> {
    let reply: Reply = serde_json::from_slice(body).map_err(|e| bad_json(&e, body))?;
    if let Some(error) = reply.error {
        return Err(error_text(&error));
    }
    let meta = reply.meta_info.ok_or("the response has no meta_info")?;
    let finish = meta.finish_reason.map(|reason| match reason.message {
        Some(message) if reason.kind == "abort" => {
            Finish::Other(format!("abort: {}", quote(&message)))
        }
        _ => Finish::named(&reason.kind),
    });
    // An aborted request may come without ids; its message is what matters then.
    let ids = match (reply.output_ids, &finish) {
        (Some(ids), _) => ids.0,
        (None, Some(Finish::Other(why))) => {
            return Err(format!("the server ended the request: {why}"));
        }
        (None, _) => {
            return Err(
                "the response has no output_ids; this server does not return token ids, and text \
                 is not tokenised again: use a version of SGLang that returns them"
                    .into(),
            );
        }
    };
    Ok(ResponseChunk {
        ids,
        total: meta.completion_tokens,
        prompt: meta.prompt_tokens,
        finish,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_read_and_errors_quoted() {
        let chunk = read(
            br#"{"text": "a\"b", "output_ids": [5, 6], "meta_info": {"id": "x", "finish_reason": {"type": "stop", "matched": 6},
                 "prompt_tokens": 2, "completion_tokens": 2, "cached_tokens": 0, "weight_version": null}}"#,
        )
        .unwrap();
        assert_eq!(
            chunk,
            ResponseChunk {
                ids: [5, 6][..].into(),
                total: Some(2),
                prompt: Some(2),
                finish: Some(Finish::Stop)
            }
        );
        for (text, expected) in [
            ("", "not the JSON"),
            ("[1]", "not the JSON"),
            (r#"{"output_ids": [-1], "meta_info": {}}"#, "not the JSON"),
            (r#"{"output_ids": [1.5], "meta_info": {}}"#, "not the JSON"),
            (r#"{"output_ids": [1]}"#, "no meta_info"),
            (
                r#"{"text": "hello", "meta_info": {"finish_reason": null}}"#,
                "does not return token ids",
            ),
            (
                r#"{"error": {"message": "out of memory"}}"#,
                "the server reported: out of memory",
            ),
            (r#"{"error": "no"}"#, "the server reported: no"),
            (
                r#"{"meta_info": {"finish_reason": {"type": "abort", "message": "too long"}}}"#,
                "abort: too long",
            ),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
