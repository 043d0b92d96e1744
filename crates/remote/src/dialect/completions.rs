//! What all forms of OpenAI's POST /v1/completions have in common. Source: vLLM's
//! `entrypoints/openai/completion/protocol.py`, TensorRT-LLM's `serve/openai_protocol.py`, Dynamo's
//! `protocols/openai/{common_ext,nvext}.rs` and SGLang's `entrypoints/openai/protocol.py`.

use std::io::Write;

use ossmark_protocol::{Request, TokenId};
use serde::Deserialize;
use serde_json::Value;

use super::SamplingNames;
use crate::answer::{Finish, Ids, ResponseChunk};
use crate::json::{Few, bad_json, error_text, push_ids};

/// A request; `extra` is the field that asks for ids, as JSON without a comma.
pub(super) fn body(
    request: &Request,
    stream: bool,
    model: &str,
    names: &SamplingNames,
    extra: &str,
) -> Result<Vec<u8>, String> {
    body_asking(request, stream, model, names, extra, |body| {
        body.extend_from_slice(b"\"prompt\":");
        push_ids(body, &request.prompt);
    })
}

/// A request that asks in another field than `prompt`.
pub(super) fn body_asking(
    request: &Request,
    stream: bool,
    model: &str,
    names: &SamplingNames,
    extra: &str,
    ask: impl FnOnce(&mut Vec<u8>),
) -> Result<Vec<u8>, String> {
    let mut body = Vec::with_capacity(request.prompt.len() * 7 + model.len() + 400);
    body.extend_from_slice(b"{\"model\":");
    // Writing a string into memory cannot fail.
    let _ = serde_json::to_writer(&mut body, model);
    body.push(b',');
    ask(&mut body);
    body.push(b',');
    names.push(&mut body, request)?;
    let _ = write!(body, ",\"stream\":{stream}");
    if stream {
        body.extend_from_slice(b",\"stream_options\":{\"include_usage\":true}");
    }
    let _ = write!(body, ",{extra}}}");
    Ok(body)
}

/// Read for every piece of a stream: what a usual one holds takes no allocation, and its text is passed over.
#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    choices: Few<Choice, 1>,
    usage: Option<Usage>,
    error: Option<Value>,
    nvext: Option<Nvext>,
}

/// Dynamo's place for what OpenAI's API has no field for.
#[derive(Deserialize)]
struct Nvext {
    completion_token_ids: Option<Few<TokenId, 16>>,
    prompt_token_ids: Option<Vec<TokenId>>,
}

#[derive(Deserialize)]
struct Choice {
    token_ids: Option<Few<TokenId, 16>>,
    prompt_token_ids: Option<Vec<TokenId>>,
    finish_reason: Option<Finish>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// A whole response.
pub(super) fn read(body: &[u8]) -> Result<ResponseChunk, String> {
    let reply = parse(body)?;
    if reply.choices.0.is_empty() {
        return Err("the response has no choices".into());
    }
    chunk(reply, |finish| without_ids(finish, body))
}

/// One piece of a stream. The last may hold no choice, only the usage.
pub(super) fn read_chunk(body: &[u8]) -> Result<ResponseChunk, String> {
    let reply = parse(body)?;
    if reply.choices.0.is_empty() && reply.usage.is_none() {
        return Err("a piece of the stream has neither choices nor usage".into());
    }
    chunk(reply, |finish| without_ids(finish, body))
}

/// A response of the chat API, whole or a piece: its prompt is the server's, and text may come without ids (see `chat`).
pub(super) fn read_chat(body: &[u8]) -> Result<ResponseChunk, String> {
    let chunk = chunk(parse(body)?, |_| Ok(Ids::new()))?;
    Ok(ResponseChunk {
        prompt: None,
        ..chunk
    })
}

fn parse(body: &[u8]) -> Result<Reply, String> {
    let reply: Reply = serde_json::from_slice(body).map_err(|e| bad_json(&e, body))?;
    match reply.error {
        Some(error) => Err(error_text(&error)),
        None => Ok(reply),
    }
}

/// The end of a stream alone has none; the count of tokens tells whether any went missing.
fn without_ids(finish: Option<&Finish>, body: &[u8]) -> Result<Ids, String> {
    if finish.is_some() && has_no_text(body) {
        return Ok(Ids::new());
    }
    Err(
        "the response has no token_ids; this server does not return token ids, and text is not tokenised again: use vLLM 0.10.2 \
         or later, TensorRT-LLM, Dynamo, or SGLang's own API (--api sglang)"
            .into(),
    )
}

fn chunk(
    reply: Reply,
    without_ids: impl FnOnce(Option<&Finish>) -> Result<Ids, String>,
) -> Result<ResponseChunk, String> {
    let mut chunk = ResponseChunk::default();
    if let Some(usage) = reply.usage {
        chunk.total = usage.completion_tokens;
        chunk.prompt = usage.prompt_tokens;
    }
    let mut beside = reply.nvext;
    let mut choices = reply.choices.0.into_iter();
    if let Some(choice) = choices.next() {
        let ids = choice.token_ids;
        let ids = ids.or_else(|| {
            beside
                .as_mut()
                .and_then(|nvext| nvext.completion_token_ids.take())
        });
        chunk.ids = match ids {
            Some(ids) => ids.0,
            None => without_ids(choice.finish_reason.as_ref())?,
        };
        let prompt = choice.prompt_token_ids;
        if let Some(prompt) = prompt.or_else(|| beside.and_then(|nvext| nvext.prompt_token_ids)) {
            chunk.prompt = Some(prompt.len() as u64);
        }
        chunk.finish = choice.finish_reason;
    }
    match choices.next() {
        Some(_) => Err("the response has several choices, one was asked for".into()),
        None => Ok(chunk),
    }
}

/// Whether the text of the first choice is there and empty.
fn has_no_text(body: &[u8]) -> bool {
    let reply: Value = serde_json::from_slice(body).unwrap_or_default();
    reply["choices"][0]["text"] == ""
}

#[cfg(test)]
mod tests {
    use super::*;

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
                ids: [5, 6][..].into(),
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
