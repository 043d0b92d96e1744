//! What programs answered that were asked with `benchmarks/real_peers.py`'s means, replayed byte for byte.

use ossmark_protocol::End;
use serde_json::{Value, json as value};

use crate::script::{
    Api, Do, Reply, chunk, client, events, json, last_chunk, response, serve_raw, settings,
};

const REFUSAL: &str = include_str!("../fixtures/dynamo-1.6.1-refusal.json");
const WHOLE: &str = include_str!("../fixtures/dynamo-1.6.1-whole.json");
const STREAM: &str = include_str!("../fixtures/dynamo-1.6.1-stream.txt");

/// The ids in an answer's `nvext`.
fn ids(answer: &Value) -> Vec<u32> {
    serde_json::from_value(answer["nvext"]["completion_token_ids"].clone()).unwrap_or_default()
}

/// The answer to the first request, which has one token and wants two, as Dynamo would have put it.
fn first(stream: bool) -> Reply {
    let mut answer: Value = serde_json::from_str(WHOLE).unwrap();
    answer["nvext"] = value!({ "completion_token_ids": [5, 6], "prompt_token_ids": [0] });
    answer["usage"] = value!({ "prompt_tokens": 1, "completion_tokens": 2 });
    match stream {
        false => vec![json(&answer.to_string())],
        true => {
            let mut reply = events(&[&answer.to_string(), "[DONE]"]);
            reply.push(last_chunk());
            reply
        }
    }
}

fn refusal() -> Reply {
    vec![response("400 Bad Request", "application/json", REFUSAL)]
}

#[test]
fn dynamo_is_found_and_believed_whole_and_streamed() {
    let mut streamed = events(&[]);
    // In pieces that end anywhere.
    let pieces = STREAM.as_bytes().chunks(97);
    streamed.extend(pieces.map(|piece| chunk(std::str::from_utf8(piece).unwrap())));
    streamed.push(last_chunk());
    let sent = STREAM
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let sent = sent.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let of_stream: Vec<u32> = sent.flat_map(|event| ids(&event)).collect();
    let of_whole = ids(&serde_json::from_str(WHOLE).unwrap());
    assert_eq!((of_stream.len(), of_whole.len()), (4, 4));
    for (stream, answer, expected) in [
        (false, vec![json(WHOLE)], of_whole),
        (true, streamed, of_stream),
    ] {
        let server = serve_raw(Api::OpenAi, vec![refusal(), first(stream), answer]);
        let client = client(settings(&[&server.url], stream));
        assert_eq!(client.remote.servers()[0].dialect, "Dynamo /v1/completions");
        let got = &client.ask(1)[0];
        assert_eq!((&got.tokens, &got.end), (&expected, &Some(End::Length)));
    }
}

/// Without one of its pieces, the end or the count the stream is none.
#[test]
fn what_is_cut_out_of_dynamos_stream_is_missed() {
    let all: Vec<&str> = STREAM.lines().filter(|line| !line.is_empty()).collect();
    for left_out in 0..all.len() {
        let mut reply = events(&[]);
        let kept = all.iter().enumerate().filter(|(at, _)| *at != left_out);
        reply.extend(kept.map(|(_, line)| chunk(&format!("{line}\n\n"))));
        reply.extend([last_chunk(), Do::Close]);
        let server = serve_raw(Api::OpenAi, vec![refusal(), first(true), reply]);
        let client = client(settings(&[&server.url], true));
        let got = &client.ask(1)[0];
        assert!(
            matches!(got.end, Some(End::Failed(_))),
            "{}: {got:?}",
            all[left_out]
        );
    }
}
