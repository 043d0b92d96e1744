//! Every dialect, sent and believed: all sampling fields are on the wire, and a server that cuts, repeats, leaves out,
//! reorders or miscounts is never believed.

use ossmark_protocol::{End, MAX_SEED, RequestId, Sampling};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::allocations::allocations;
use crate::fuzz::drive;
use crate::sse::Decoder;

fn request() -> Request {
    Request {
        id: RequestId(1),
        prompt: [7, 200_002].into(),
        sampling: Sampling {
            temperature: 1.0,
            top_p: 0.9,
            top_k: 0,
        },
        seed: MAX_SEED,
        max_new_tokens: 32,
        want_logits: false,
        stop_tokens: vec![9, 10].into(),
        ignore_eos: true,
    }
}

/// One of each file; where there are two forms, the fuller one.
fn all() -> Vec<Box<dyn Dialect>> {
    let model = "a\"b".to_owned();
    vec![
        Box::new(sglang::Generate {
            seed: true,
            interval: Some(8),
        }),
        Box::new(sglang_completions::Completions {
            model: model.clone(),
        }),
        Box::new(vllm::Completions {
            model: model.clone(),
        }),
        Box::new(vllm_generate::Generate { interval: Some(8) }),
        Box::new(dynamo::Completions {
            model: model.clone(),
            min_p: true,
        }),
        Box::new(tensorrt::Completions {
            model: model.clone(),
        }),
        Box::new(chat::Chat {
            model,
            messages: ["first".into(), "a\n\"b\"".into()].into(),
        }),
    ]
}

/// The chat API takes the place of a message for a prompt.
fn asking(dialect: &dyn Dialect, mut request: Request) -> Request {
    if dialect.name() == "/v1/chat/completions" {
        request.prompt = [1].into();
    }
    request
}

fn said(dialect: &dyn Dialect, request: &Request, stream: bool) -> Value {
    let request = asking(dialect, request.clone());
    serde_json::from_slice(&dialect.body(&request, stream).unwrap()).unwrap()
}

#[test]
fn every_sampling_field_is_on_the_wire_in_every_dialect() {
    // The values that change nothing, and what the request wants.
    let fields = json!({
        "temperature": 1, "top_p": 0.9, "min_p": 0, "repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0,
        "n": 1, "ignore_eos": true,
    });
    for dialect in all() {
        let mut request = request();
        let (name, unsaid) = (dialect.name(), dialect.names().unsaid());
        let body = said(&*dialect, &request, true);
        let params = match body.get("sampling_params") {
            Some(params) => params,
            None => &body,
        };
        for (field, value) in fields.as_object().unwrap() {
            let found = params.get(field).unwrap_or(&Value::Null);
            assert_eq!(found.as_f64(), value.as_f64(), "{name}: {field}");
            assert_eq!(found.as_bool(), value.as_bool(), "{name}: {field}");
        }
        let sglang = name == "SGLang /generate";
        let (least, most, seed) = match sglang {
            true => ("min_new_tokens", "max_new_tokens", "sampling_seed"),
            false if name == "/v1/chat/completions" => {
                ("min_tokens", "max_completion_tokens", "seed")
            }
            false => ("min_tokens", "max_tokens", "seed"),
        };
        assert_eq!(
            (&params[least], &params[most]),
            (&json!(0), &json!(32)),
            "{name}"
        );
        assert_eq!(params[seed], json!(MAX_SEED), "{name}");
        let all = match name {
            "vLLM /v1/completions"
            | "vLLM /inference/v1/generate"
            | "/v1/chat/completions"
            | "TensorRT-LLM /v1/completions" => 0,
            _ => -1,
        };
        assert_eq!(params["top_k"], all, "{name}");
        request.sampling.top_k = 5;
        let five = said(&*dialect, &request, false);
        assert_eq!(
            five.get("sampling_params").unwrap_or(&five)["top_k"],
            5,
            "{name}"
        );
        assert_eq!(params["stop_token_ids"], json!([9, 10]), "{name}");
        assert_eq!(unsaid, Vec::<&str>::new(), "{name}");
        assert_eq!(
            (&body["stream"], &five["stream"]),
            (&json!(true), &json!(false)),
            "{name}"
        );
        assert_eq!(body.get("stream_options").is_some(), !sglang, "{name}");
        assert!(five.get("stream_options").is_none(), "{name}");
        let gathered = params.get("stream_interval").and_then(Value::as_u64);
        assert_eq!(gathered, dialect.gathers().then_some(8), "{name}");
        assert!(!five.to_string().contains("stream_interval"), "{name}");
    }
    // Only what an older version does not know is left out, and that is told.
    let older = sglang::Generate {
        seed: false,
        interval: None,
    };
    assert_eq!(older.names().unsaid(), ["seed"]);
    assert!(
        said(&older, &request(), false)["sampling_params"]
            .get("sampling_seed")
            .is_none()
    );
    let older = dynamo::Completions {
        model: "m".into(),
        min_p: false,
    };
    assert_eq!(older.names().unsaid(), ["min_p"]);
}

#[test]
fn each_dialect_puts_prompt_and_model_where_its_server_looks_and_asks_for_ids() {
    let expected = [
        json!({"input_ids": [7, 200_002]}),
        json!({"model": "a\"b", "prompt": [7, 200_002], "return_token_ids": true}),
        json!({"model": "a\"b", "prompt": [7, 200_002], "return_token_ids": true}),
        json!({"token_ids": [7, 200_002]}),
        json!({"model": "a\"b", "prompt": [7, 200_002], "nvext": {"extra_fields": ["completion_token_ids", "prompt_token_ids"]}}),
        json!({"model": "a\"b", "prompt": [7, 200_002], "detokenize": false}),
        json!({"model": "a\"b", "messages": [{"role": "user", "content": "a\n\"b\""}], "return_token_ids": true}),
    ];
    let mut request = request();
    request.stop_tokens = Vec::new().into();
    for (dialect, expected) in all().iter().zip(expected) {
        let body = said(&**dialect, &request, false);
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&body[field], value, "{}", dialect.name());
        }
    }
}

#[test]
fn seeds_that_servers_cannot_take_are_refused() {
    let mut request = request();
    request.stop_tokens = Vec::new().into();
    request.seed = MAX_SEED + 1;
    for dialect in all() {
        let request = asking(&*dialect, request.clone());
        let error = dialect.body(&request, false).unwrap_err();
        assert!(error.contains("seed is 9223372036854775808"), "{error}");
    }
}

/// One event: the ids that it carries, and its data.
type Piece = (Vec<u32>, String);

/// What an honest server of this dialect streams; `total` is what it counts in the end.
fn stream(name: &str, pieces: &[Vec<u32>], total: u64) -> Vec<Piece> {
    let mut so_far = 0;
    let mut events = Vec::new();
    for (i, ids) in pieces.iter().enumerate() {
        so_far += ids.len() as u64;
        let last = i + 1 == pieces.len();
        let finish = if last { json!("stop") } else { Value::Null };
        let data = match name {
            "SGLang /generate" => {
                let count = if last { total } else { so_far };
                let finish = if last {
                    json!({"type": "stop", "matched": 1})
                } else {
                    Value::Null
                };
                json!({"text": "x\n", "output_ids": ids, "meta_info": {"prompt_tokens": 2, "completion_tokens": count,
                    "finish_reason": finish}})
            }
            "/v1/chat/completions" => {
                json!({"choices": [{"index": 0, "delta": {"content": "x\n"}, "token_ids": ids, "finish_reason": finish}]})
            }
            "Dynamo /v1/completions" => {
                json!({"choices": [{"text": "x\n", "index": 0, "finish_reason": finish}], "usage": null,
                    "nvext": {"completion_token_ids": ids}})
            }
            _ => {
                json!({"choices": [{"index": 0, "text": "x\n", "token_ids": ids, "finish_reason": finish}], "usage": null})
            }
        };
        events.push((ids.clone(), data.to_string()));
    }
    if name != "SGLang /generate" {
        let usage =
            json!({"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": total}});
        events.push((Vec::new(), usage.to_string()));
    }
    events.push((Vec::new(), "[DONE]".into()));
    events
}

fn believe(dialect: &dyn Dialect, events: &[Piece]) -> Result<Vec<u32>, String> {
    let mut answer = Answer::new(2, 64);
    for (_, data) in events {
        if take_event(dialect, data.as_bytes(), &mut answer)? {
            assert_eq!(answer.finish()?, End::Stop);
            return Ok(answer.tokens().to_vec());
        }
    }
    Err("no [DONE]".into())
}

#[test]
fn a_token_of_a_stream_takes_no_allocation() {
    let pieces: Vec<Vec<u32>> = (0..512).map(|id| vec![id]).collect();
    for dialect in all() {
        let events = stream(dialect.name(), &pieces, 512);
        let bytes: Vec<String> = events
            .iter()
            .map(|(_, data)| format!("data: {data}\n\n"))
            .collect();
        let mut answer = Answer::new(2, 512);
        let mut decoder = Decoder::new(1 << 20);
        let before = allocations();
        for bytes in &bytes {
            let fed = decoder.feed(bytes.as_bytes(), |event| {
                assert!(take_event(&*dialect, event.data, &mut answer).is_ok());
            });
            assert!(fed.is_ok());
        }
        // The answer grows by doubling, and the decoder's buffers once.
        let made = allocations() - before;
        assert!(made < 32, "{}: {made} allocations", dialect.name());
        assert_eq!(answer.tokens().len(), 512, "{}", dialect.name());
    }
}

#[derive(Clone, Debug)]
enum Trick {
    None,
    LeaveOut(usize),
    Repeat(usize),
    Swap(usize, usize),
    Cut(usize),
    Miscount(i64),
}

fn trick() -> impl Strategy<Value = Trick> {
    let at = 0..20usize;
    prop_oneof![
        Just(Trick::None),
        at.clone().prop_map(Trick::LeaveOut),
        at.clone().prop_map(Trick::Repeat),
        (at.clone(), at.clone()).prop_map(|(a, b)| Trick::Swap(a, b)),
        at.prop_map(Trick::Cut),
        prop::sample::select(vec![-1i64, 1, 7]).prop_map(Trick::Miscount),
    ]
}

#[test]
fn what_is_believed_is_what_was_sent() {
    // Distinct ids: two pieces of the same ids may be swapped without anybody being the wiser.
    let lengths = prop::collection::vec(1..4usize, 2..6);
    drive((0..7usize, lengths, trick()), |(which, lengths, trick)| {
        let dialect = &*all()[which];
        let mut next = 100;
        let mut piece = |n: usize| {
            next += n as u32;
            (next - n as u32..next).collect::<Vec<u32>>()
        };
        let pieces: Vec<Vec<u32>> = lengths.iter().map(|n| piece(*n)).collect();
        let truth = pieces.concat();
        let n = truth.len() as i64;
        let claimed = match trick {
            Trick::Miscount(by) => (n + by) as u64,
            _ => n as u64,
        };
        let mut events = stream(dialect.name(), &pieces, claimed);
        let count = pieces.len();
        match trick {
            Trick::LeaveOut(i) => drop(events.remove(i % count)),
            Trick::Repeat(i) => events.insert(i % count, events[i % count].clone()),
            Trick::Swap(a, b) => events.swap(a % count, b % count),
            Trick::Cut(i) => events.truncate(1 + i % (events.len() - 1)),
            Trick::None | Trick::Miscount(_) => {}
        }
        let believed = believe(dialect, &events);
        match trick {
            Trick::None => assert_eq!(believed, Ok(truth), "{}", dialect.name()),
            // In another order, but as it was sent, or not at all.
            Trick::Swap(..) => {
                let sent = events
                    .iter()
                    .flat_map(|(ids, _)| ids.clone())
                    .collect::<Vec<_>>();
                assert!(
                    believed.is_err() || believed == Ok(sent),
                    "{}: {believed:?}",
                    dialect.name()
                );
            }
            _ => assert!(
                believed.is_err(),
                "{} {trick:?}: {believed:?}",
                dialect.name()
            ),
        }
    });
}

/// Ids may come with another piece than their text, but somewhere they have to be; the prompt's count is the server's.
#[test]
fn the_chat_api_is_believed_by_its_count_and_asks_only_what_there_is() {
    let chat = chat::Chat {
        model: "m".into(),
        messages: ["hello".into()].into(),
    };
    let feed = |events: &[&str]| {
        let events: Vec<Piece> = events.iter().map(|e| (Vec::new(), (*e).into())).collect();
        believe(&chat, &events)
    };
    let role = r#"{"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]}"#;
    let ids = r#"{"choices": [{"delta": {"reasoning_content": "a"}, "token_ids": [5, 6], "finish_reason": null}]}"#;
    let text = r#"{"choices": [{"delta": {"content": "b"}, "finish_reason": null}]}"#;
    let end = r#"{"choices": [{"delta": {}, "finish_reason": "stop", "token_ids": [7]}]}"#;
    let no_ids = r#"{"choices": [{"delta": {}, "finish_reason": "stop"}]}"#;
    let usage = r#"{"choices": [], "usage": {"prompt_tokens": 99, "completion_tokens": 3}}"#;
    let answer = feed(&[role, ids, text, end, usage, "[DONE]"]);
    assert_eq!(answer, Ok(vec![5, 6, 7]));
    let lost = feed(&[role, ids, text, no_ids, usage, "[DONE]"]).unwrap_err();
    assert!(lost.contains("counts 3 tokens and sent 2 ids"), "{lost}");
    let none = feed(&[role, text, no_ids, usage, "[DONE]"]).unwrap_err();
    assert!(none.contains("no token_ids"), "{none}");
    let whole = r#"{"choices": [{"message": {"content": "b"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 1}}"#;
    assert!(
        chat.read(whole.as_bytes())
            .unwrap_err()
            .contains("no token_ids")
    );
    let mut request = request();
    for prompt in [&[1][..], &[0, 0]] {
        request.prompt = prompt.into();
        let error = chat.body(&request, true).unwrap_err();
        assert!(error.contains("place of no message"), "{error}");
    }
}
