//! OpenAI's POST /v1/completions with token ids, as vLLM and TensorRT-LLM extend it. Source: vLLM's
//! `entrypoints/openai/completion/protocol.py` and TensorRT-LLM's `serve/openai_protocol.py`.

use std::borrow::Cow;
use std::io::Write;

use ossmark_protocol::{Request, TokenId};
use serde::Deserialize;
use serde_json::Value;

use crate::answer::{Finish, ResponseChunk};
use crate::json::{bad_json, error_text, push_ids, push_stops};

/// How an OpenAI-compatible server is asked for token ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskForIds {
    /// vLLM from 0.10.2, and `ossmark serve`.
    ReturnTokenIds,
    /// TensorRT-LLM, which refuses fields that it does not know.
    NoDetokenize,
}

/// `top_k` is no part of OpenAI's API, but vLLM would take a missing one from the model's generation_config.json; 0 keeps all
/// tokens in vLLM and TensorRT-LLM.
pub(crate) fn body(request: &Request, stream: bool, model: &str, ids: AskForIds) -> Vec<u8> {
    let mut body = Vec::with_capacity(request.prompt.len() * 7 + model.len() + 256);
    body.extend_from_slice(b"{\"model\":");
    // Writing a string into memory cannot fail.
    let _ = serde_json::to_writer(&mut body, model);
    body.extend_from_slice(b",\"prompt\":");
    push_ids(&mut body, &request.prompt);
    let sampling = &request.sampling;
    let _ = write!(
        body,
        ",\"max_tokens\":{},\"temperature\":{},\"top_p\":{},\"top_k\":{},\"seed\":{},\"stream\":{stream}",
        request.max_new_tokens, sampling.temperature, sampling.top_p, sampling.top_k, request.seed
    );
    push_stops(&mut body, request);
    if stream {
        body.extend_from_slice(b",\"stream_options\":{\"include_usage\":true}");
    }
    body.extend_from_slice(match ids {
        AskForIds::ReturnTokenIds => b",\"return_token_ids\":true}",
        AskForIds::NoDetokenize => b",\"detokenize\":false}",
    });
    body
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(default, borrow)]
    choices: Vec<Choice<'a>>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    token_ids: Option<Vec<TokenId>>,
    prompt_token_ids: Option<Vec<TokenId>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// A whole response.
pub(crate) fn read(body: &[u8]) -> Result<ResponseChunk, String> {
    let reply = parse(body)?;
    if reply.choices.is_empty() {
        return Err("the response has no choices".into());
    }
    chunk(reply)
}

/// One piece of a stream. The last may hold no choice, only the usage.
pub(crate) fn read_chunk(body: &[u8]) -> Result<ResponseChunk, String> {
    let reply = parse(body)?;
    if reply.choices.is_empty() && reply.usage.is_none() {
        return Err("a piece of the stream has neither choices nor usage".into());
    }
    chunk(reply)
}

fn parse(body: &[u8]) -> Result<Reply<'_>, String> {
    let reply: Reply = serde_json::from_slice(body).map_err(|e| bad_json(&e, body))?;
    match reply.error {
        Some(error) => Err(error_text(&error)),
        None => Ok(reply),
    }
}

fn chunk(reply: Reply<'_>) -> Result<ResponseChunk, String> {
    let mut chunk = ResponseChunk::default();
    if let Some(usage) = reply.usage {
        chunk.total = usage.completion_tokens;
        chunk.prompt = usage.prompt_tokens;
    }
    let mut choices = reply.choices.into_iter();
    if let Some(choice) = choices.next() {
        chunk.ids = choice.token_ids.ok_or(
            "the response has no token_ids; this server does not return token ids, and text is not tokenised again: use vLLM \
             0.10.2 or later, TensorRT-LLM, or SGLang's own API (--api sglang)",
        )?;
        if let Some(prompt) = choice.prompt_token_ids {
            chunk.prompt = Some(prompt.len() as u64);
        }
        chunk.finish = choice.finish_reason.map(|reason| Finish::named(&reason));
    }
    match choices.next() {
        Some(_) => Err("the response has several choices, one was asked for".into()),
        None => Ok(chunk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ossmark_protocol::{RequestId, Sampling};

    #[test]
    fn a_body_asks_for_ids_in_the_servers_way() {
        let request = Request {
            id: RequestId(1),
            prompt: [7, 8].into(),
            sampling: Sampling::GREEDY,
            seed: 5,
            max_new_tokens: 32,
            want_logits: false,
            stop_tokens: ossmark_protocol::StopTokens::default(),
            ignore_eos: false,
        };
        let text = body(&request, true, "a\"b", AskForIds::ReturnTokenIds);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\"model\":\"a\\\"b\",\"prompt\":[7,8],\"max_tokens\":32,\"temperature\":0,\"top_p\":1,\"top_k\":0,\"seed\":5,\
             \"stream\":true,\"stream_options\":{\"include_usage\":true},\"return_token_ids\":true}"
        );
        let text = body(&request, false, "m", AskForIds::NoDetokenize);
        let value: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["detokenize"], false);
        assert!(value.get("return_token_ids").is_none() && value.get("stream_options").is_none());
    }

    #[test]
    fn responses_are_read_and_a_server_without_ids_is_refused() {
        let chunk = read(
            br#"{"id": "cmpl-1", "object": "text_completion", "choices": [{"index": 0, "text": "x", "logprobs": null,
                 "finish_reason": "length", "stop_reason": null, "token_ids": [5, 6], "prompt_token_ids": [1, 2, 3]}],
                 "usage": {"prompt_tokens": 3, "total_tokens": 5, "completion_tokens": 2}}"#,
        )
        .unwrap();
        assert_eq!(
            chunk,
            ResponseChunk {
                ids: vec![5, 6],
                total: Some(2),
                prompt: Some(3),
                finish: Some(Finish::Length)
            }
        );
        let usage = read_chunk(
            br#"{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}"#,
        )
        .unwrap();
        assert_eq!((usage.ids.len(), usage.total), (0, Some(2)));
        for (text, expected) in [
            (r#"{"choices": []}"#, "no choices"),
            (
                r#"{"choices": [{"index": 0, "text": "x", "finish_reason": "stop"}]}"#,
                "not tokenised again",
            ),
            (
                r#"{"choices": [{"token_ids": [1]}, {"token_ids": [2]}]}"#,
                "several",
            ),
            (
                r#"{"error": {"message": "no such model", "code": 404}}"#,
                "no such model",
            ),
            (r#"{"choices": [{"token_ids": "1"}]}"#, "not the JSON"),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
