//! Bytes that nobody vouches for: streams in any pieces, responses of any shape. No panic, the same events whatever the
//! pieces, and no answer that the bytes do not hold.
//!
//! `OSSMARK_FUZZ_SECONDS` makes each target longer; without it, a smoke run with fixed inputs.

use std::time::{Duration, Instant};

use ossmark_protocol::End;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use crate::answer::Answer;
use crate::dialect::{candidates, take_event, take_response};
use crate::settings::Api;
use crate::sse::Decoder;

pub(crate) fn drive<S: Strategy>(strategy: S, check: impl Fn(S::Value)) {
    let seconds = std::env::var("OSSMARK_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut runner = match end {
        Some(_) => TestRunner::default(),
        None => TestRunner::deterministic(),
    };
    let mut cases = 0u64;
    while end.map_or(cases < 3000, |end| Instant::now() < end) {
        check(strategy.new_tree(&mut runner).expect("an input").current());
        cases += 1;
    }
    println!("{cases} inputs");
}

type Events = Vec<(Vec<u8>, Vec<u8>)>;

/// The events of a stream fed in pieces of these lengths, over and over; the error, if there was one.
fn decode(stream: &[u8], pieces: &[usize], limit: usize) -> (Events, bool) {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    let mut rest = stream;
    for n in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*n).min(rest.len()));
        let fed = decoder.feed(piece, |e| events.push((e.kind.to_vec(), e.data.to_vec())));
        if fed.is_err() {
            return (events, true);
        }
        rest = after;
    }
    (events, false)
}

/// The standard's algorithm on the whole text at once, as plainly as can be.
fn by_the_book(stream: &[u8]) -> Events {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut lines = vec![Vec::new()];
    let mut bytes = stream.iter().peekable();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&&b'\n');
                lines.push(Vec::new());
            }
            b'\n' => lines.push(Vec::new()),
            byte => lines.last_mut().unwrap().push(byte),
        }
    }
    lines.pop();
    let (mut events, mut data, mut kind) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        if line.is_empty() {
            if data.pop().is_some() {
                events.push((kind.clone(), data.clone()));
            }
            data.clear();
            kind.clear();
            continue;
        }
        let mut halves = line.splitn(2, |b| *b == b':');
        let field = halves.next().unwrap();
        let value = halves.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => data.extend(value.iter().chain(b"\n")),
            b"event" => kind = value.to_vec(),
            _ => {}
        }
    }
    events
}

fn stream_piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "data: ", "data:", "data", "event: error", "event:", ":", ": comment", "id: 1", "retry: 5", "\n", "\r", "\r\n", "\n\n",
            "\r\r", "\r\n\r\n", "[DONE]", "{}", "\u{feff}", " ", "data : x", "datax: y",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

#[test]
fn streams() {
    let stream = prop::collection::vec(stream_piece(), 0..40).prop_map(|parts| parts.concat());
    let cuts = prop::collection::vec(1..12usize, 1..6);
    drive((stream, cuts, 4..80usize), |(stream, cuts, limit)| {
        let whole = decode(&stream, &[usize::MAX], usize::MAX / 2);
        assert_eq!(whole, (by_the_book(&stream), false), "{stream:?}");
        assert_eq!(decode(&stream, &cuts, usize::MAX / 2), whole);
        assert_eq!(
            decode(&stream, &cuts, limit),
            decode(&stream, &[usize::MAX], limit),
            "{stream:?} limited to {limit}"
        );
    });
}

/// JSON that looks like answers, so that inputs get past the first brace.
fn reply_piece() -> impl Strategy<Value = String> {
    let ids = prop::collection::vec(0..9u32, 0..6).prop_map(|ids| format!("{ids:?}"));
    let field = prop_oneof![
        4 => (prop::sample::select(vec!["output_ids", "token_ids", "prompt_token_ids", "completion_token_ids"]), ids)
            .prop_map(|(name, ids)| format!("\"{name}\":{ids}")),
        4 => (prop::sample::select(vec!["completion_tokens", "prompt_tokens"]), 0..6u64)
            .prop_map(|(name, n)| format!("\"{name}\":{n}")),
        2 => prop::sample::select(vec![
            "\"finish_reason\":{\"type\":\"stop\",\"matched\":7}", "\"finish_reason\":{\"type\":\"abort\",\"message\":\"m\\u00e9\"}",
            "\"finish_reason\":\"length\"", "\"finish_reason\":\"stop\"", "\"finish_reason\":null", "\"text\":\"\\ud83d\"",
            "\"error\":{\"message\":\"no\"}", "\"error\":null", "\"output_ids\":[4294967295]", "\"token_ids\":null",
        ])
        .prop_map(str::to_owned),
    ];
    let fields = prop::collection::vec(field, 0..5).prop_map(|fields| fields.join(","));
    (0..5u8, fields.clone(), fields).prop_map(|(kind, a, b)| match kind {
        0 => format!("{{{a},\"meta_info\":{{{b}}}}}"),
        1 => format!("{{\"choices\":[{{{a}}}],\"usage\":{{{b}}}}}"),
        2 => format!("{{\"choices\":[],\"usage\":{{{b}}}}}"),
        3 => format!("{{{a}"),
        _ => a,
    })
}

#[test]
fn replies() {
    let pieces = prop::collection::vec(reply_piece(), 1..6);
    drive((any::<bool>(), pieces), |(sglang, pieces)| {
        let api = if sglang { Api::Sglang } else { Api::OpenAi };
        let dialect = &*candidates(Some(api), sglang, Some("m"), None, &[].into())[0];
        for streamed in [true, false] {
            let mut answer = Answer::new(2, 4);
            let mut before = Vec::new();
            for piece in &pieces {
                let taken = match streamed {
                    true => take_event(dialect, piece.as_bytes(), &mut answer).map(|_| ()),
                    false => take_response(dialect, piece.as_bytes(), &mut answer),
                };
                if taken.is_err() {
                    break;
                }
                // What has been reported stays, and nothing is longer than was asked for.
                assert!(answer.tokens().starts_with(&before) && answer.tokens().len() <= 4);
                before = answer.tokens().to_vec();
                for id in answer.tokens() {
                    assert!(piece_mentions(&pieces, *id), "{id} was made up: {pieces:?}");
                }
            }
            if let Ok(end) = answer.finish() {
                assert!(matches!(end, End::Stop | End::Length) && !answer.tokens().is_empty());
            }
        }
    });
}

fn piece_mentions(pieces: &[String], id: u32) -> bool {
    pieces.iter().any(|piece| piece.contains(&id.to_string()))
}
