//! SGLang's POST /generate. Source: sglang's `srt/managers/io_struct.py` (GenerateReqInput), `sampling_params.py`,
//! and the output processor of its tokenizer manager.

use std::borrow::Cow;
use std::io::Write;

use ossmark_protocol::{Request, TokenId};
use serde::Deserialize;
use serde_json::Value;

use crate::answer::{Finish, ResponseChunk};
use crate::json::{bad_json, error_text, push_ids, push_stops};
use crate::quote::quote;

/// Sampling parameters are all said: what a server takes for missing ones depends on its flags.
pub(crate) fn body(request: &Request, stream: bool, with_seed: bool) -> Vec<u8> {
    let mut body = Vec::with_capacity(request.prompt.len() * 7 + 200);
    body.extend_from_slice(b"{\"input_ids\":");
    push_ids(&mut body, &request.prompt);
    let sampling = &request.sampling;
    // SGLang: -1 keeps all tokens, 0 is an error.
    let top_k = match sampling.top_k {
        0 => -1,
        k => i64::from(k),
    };
    let _ = write!(
        body,
        ",\"sampling_params\":{{\"temperature\":{},\"top_p\":{},\"top_k\":{top_k},\"max_new_tokens\":{}",
        sampling.temperature, sampling.top_p, request.max_new_tokens
    );
    if with_seed {
        let _ = write!(body, ",\"sampling_seed\":{}", request.seed);
    }
    push_stops(&mut body, request);
    let _ = write!(body, "}},\"stream\":{stream}}}");
    body
}

#[derive(Deserialize)]
struct Reply<'a> {
    output_ids: Option<Vec<TokenId>>,
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
pub(crate) fn read(body: &[u8]) -> Result<ResponseChunk, String> {
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
        (Some(ids), _) => ids,
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
    use ossmark_protocol::{MAX_SEED, RequestId, Sampling};

    fn request(sampling: Sampling) -> Request {
        Request {
            id: RequestId(1),
            prompt: [7, 200_002].into(),
            sampling,
            seed: MAX_SEED,
            max_new_tokens: 32,
            want_logits: false,
            stop_tokens: ossmark_protocol::StopTokens::default(),
            ignore_eos: false,
        }
    }

    #[test]
    fn a_body_says_all_parameters() {
        let sampling = Sampling {
            temperature: 1.0,
            top_p: 0.9,
            top_k: 0,
        };
        let text = String::from_utf8(body(&request(sampling), false, true)).unwrap();
        assert_eq!(
            text,
            "{\"input_ids\":[7,200002],\"sampling_params\":{\"temperature\":1,\"top_p\":0.9,\"top_k\":-1,\
             \"max_new_tokens\":32,\"sampling_seed\":9223372036854775807},\"stream\":false}"
        );
        let text = String::from_utf8(body(&request(Sampling::GREEDY), true, false)).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["sampling_params"]["temperature"], 0);
        assert_eq!(value["stream"], true);
        assert!(value["sampling_params"].get("sampling_seed").is_none());
    }

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
                ids: vec![5, 6],
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
