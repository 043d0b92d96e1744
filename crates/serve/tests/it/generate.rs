//! SGLang's `/generate`, as MLCommons' clients read it.

use std::time::Duration;

use ossmark_serve::Settings;
use serde_json::{Value, json};

use crate::common::{CAPACITY, STOP, Wanted, expected, ids, start, streamed};

fn greedy(prompt: Value, max_new_tokens: u32) -> Value {
    json!({ "input_ids": prompt, "sampling_params": { "temperature": 0, "max_new_tokens": max_new_tokens } })
}

#[test]
fn an_answer_has_all_that_the_clients_of_mlcommons_read() {
    let served = start();
    let answer = served
        .post("/generate", &greedy(json!([5, 6, 7]), 20))
        .json();
    let tokens = expected(&[5, 6, 7], 20);
    assert_eq!(ids(&answer["output_ids"]), tokens);
    let meta = &answer["meta_info"];
    assert_eq!(meta["prompt_tokens"], 3);
    assert_eq!(meta["completion_tokens"], tokens.len());
    assert_eq!(
        meta["finish_reason"],
        json!({ "type": "length", "length": 20 })
    );
    assert!(meta["id"].as_str().unwrap().len() >= 16);
    assert!(meta["e2e_latency"].as_f64().unwrap() > 0.0);
    assert_eq!(
        (
            &meta["weight_version"],
            &meta["total_retractions"],
            &meta["cached_tokens"]
        ),
        (&json!("default"), &json!(0), &json!(0))
    );
    assert!(answer["text"].is_string() && answer.get("index").is_none());
}

#[test]
fn a_stop_token_is_the_last_token_and_no_text() {
    // Among the prompts of one token there are some whose answer stops by itself.
    let prompt = (0..CAPACITY.vocab_size)
        .find(|&t| t != STOP && expected(&[t], 100).last() == Some(&STOP))
        .unwrap();
    let served = start();
    let answer = served
        .post("/generate", &greedy(json!([prompt]), 100))
        .json();
    assert_eq!(ids(&answer["output_ids"]), expected(&[prompt], 100));
    assert_eq!(
        answer["meta_info"]["finish_reason"],
        json!({ "type": "stop", "matched": STOP })
    );
    let mut shown = greedy(json!([prompt]), 100);
    shown["sampling_params"]["skip_special_tokens"] = json!(false);
    let trimmed = served.post("/generate", &shown).json();
    assert!(!trimmed["text"].as_str().unwrap().ends_with("<|return|>"));
    shown["sampling_params"]["no_stop_trim"] = json!(true);
    let untrimmed = served.post("/generate", &shown).json();
    assert!(
        untrimmed["text"].as_str().unwrap().ends_with("<|return|>"),
        "{untrimmed}"
    );
}

#[test]
fn a_clients_stop_tokens_cut_the_answer_and_free_the_engine() {
    let served = Wanted {
        // Left alone, the engine would go on for half a minute.
        step_time: Duration::from_millis(100),
        ..Wanted::default()
    }
    .start();
    let tokens = expected(&[1, 2], 300);
    let stop = tokens[4];
    let at = tokens.iter().position(|t| *t == stop).unwrap();
    let mut body = greedy(json!([1, 2]), 300);
    body["sampling_params"]["stop_token_ids"] = json!([stop]);
    for stream in [false, true] {
        body["stream"] = json!(stream);
        let answer = served.post("/generate", &body);
        let last = if stream {
            answer.events().pop().unwrap()
        } else {
            answer.json()
        };
        assert_eq!(ids(&last["output_ids"]), tokens[..=at]);
        assert_eq!(last["meta_info"]["finish_reason"]["matched"], stop);
    }
    // The client has its answer: that is not a cancellation.
    served.at_rest(0);
}

#[test]
fn batches_are_answered_in_their_order() {
    let served = start();
    let prompts = [vec![1, 2], vec![3], vec![4, 5, 6]];
    let answers = served.post("/generate", &greedy(json!(prompts), 8)).json();
    for (index, (prompt, answer)) in prompts.iter().zip(answers.as_array().unwrap()).enumerate() {
        assert_eq!(
            (ids(&answer["output_ids"]), &answer["index"]),
            (expected(prompt, 8), &json!(index))
        );
    }
    let mut body = greedy(json!(prompts), 8);
    body["stream"] = json!(true);
    let events = served.post("/generate", &body).events();
    for (index, prompt) in prompts.iter().enumerate() {
        let mine: Vec<&Value> = events
            .iter()
            .filter(|event| event["index"] == index)
            .collect();
        assert_eq!(
            ids(&mine.last().unwrap()["output_ids"]),
            expected(prompt, 8)
        );
    }
}

/// What MLCommons' reference does with a stream: `completion_tokens` says how many of the last ids are new.
fn read_as_the_reference(events: &[Value]) -> Vec<u32> {
    let mut tokens: Vec<u32> = Vec::new();
    for event in events {
        let chunk = ids(&event["output_ids"]);
        let new = event["meta_info"]["completion_tokens"].as_u64().unwrap() as usize - tokens.len();
        assert!(chunk.len() >= new, "the reference would make ids up");
        tokens.extend(&chunk[chunk.len() - new..]);
    }
    tokens
}

#[test]
fn streams_are_cumulative_and_the_reference_reads_all_tokens() {
    let tokens = expected(&[9, 8], 40);
    // The last two are asked for by the request.
    for (incremental, of_server, asked) in [
        (false, 1, None),
        (true, 1, None),
        (false, 7, None),
        (true, 7, None),
        (true, 1, Some(7)),
        (true, 40, Some(1)),
    ] {
        let interval = asked.unwrap_or(of_server);
        let served = Wanted {
            settings: Settings {
                incremental_output: incremental,
                stream_interval: of_server,
                ..Settings::default()
            },
            step_time: Duration::from_micros(500),
            ..Wanted::default()
        }
        .start();
        let mut body = greedy(json!([9, 8]), 40);
        body["stream"] = json!(true);
        body["sampling_params"]["stream_interval"] = json!(asked);
        let is_right =
            |events: &[Value]| events.len() > 2 && events[0]["meta_info"]["completion_tokens"] == 1;
        let events = streamed(|| served.post("/generate", &body), is_right);
        assert!(events.len() <= 2 + 40 / interval);
        assert_eq!(read_as_the_reference(&events), tokens);
        let (last, before) = events.split_last().unwrap();
        assert!(
            before
                .iter()
                .all(|event| event["meta_info"]["finish_reason"].is_null())
        );
        assert_eq!(last["meta_info"]["finish_reason"]["type"], "length");
        let whole = served.post("/generate", &greedy(json!([9, 8]), 40)).json();
        assert_eq!(last["text"], whole["text"]);
        if !incremental {
            assert_eq!(ids(&last["output_ids"]), tokens);
            let texts: Vec<&str> = events
                .iter()
                .map(|event| event["text"].as_str().unwrap())
                .collect();
            assert!(texts.windows(2).all(|w| w[1].starts_with(w[0])));
        }
        served.at_rest(0);
    }
}

/// MLCommons' Endpoints client decodes an event with these fields of these types, or drops it with the rest of its batch.
#[test]
fn with_its_switch_every_event_is_one_that_the_endpoints_client_decodes() {
    for is_object in [true, false] {
        let served = Wanted {
            settings: Settings {
                finish_reason_object: is_object,
                incremental_output: true,
                ..Settings::default()
            },
            step_time: Duration::from_micros(500),
            ..Wanted::default()
        }
        .start();
        let mut body = greedy(json!([9, 8]), 20);
        body["stream"] = json!(true);
        let events = streamed(
            || served.post("/generate", &body),
            |events| events.len() > 2,
        );
        let (last, before) = events.split_last().unwrap();
        for event in before {
            let meta = &event["meta_info"];
            assert_eq!(meta["finish_reason"].is_object(), is_object, "{event}");
            assert!(event["text"].is_string() && event["output_ids"].is_array());
            for name in [
                "prompt_tokens",
                "total_retractions",
                "completion_tokens",
                "cached_tokens",
            ] {
                assert!(meta[name].is_u64(), "{name}: {event}");
            }
            assert!(meta["id"].is_string() && meta["weight_version"].is_string());
            assert!(meta["e2e_latency"].is_f64());
        }
        assert_eq!(last["meta_info"]["finish_reason"]["type"], "length");
        served.at_rest(0);
    }
}

#[test]
fn text_prompts_are_tokenised() {
    let served = start();
    let text = "<|start|>user<|message|>What is 1 + 1?<|end|>";
    let one = json!({ "text": text, "sampling_params": { "temperature": 0, "max_new_tokens": 6 } });
    let answer = served.post("/generate", &one).json();
    let prompt_tokens = answer["meta_info"]["prompt_tokens"].as_u64().unwrap() as usize;
    assert!(prompt_tokens > 5 && prompt_tokens < text.len());
    let two = json!({ "text": [text, text], "sampling_params": { "temperature": 0, "max_new_tokens": 6 } });
    let answers = served.post("/generate", &two).json();
    assert_eq!(answers[1]["output_ids"], answer["output_ids"]);
    let long = json!({ "text": "a b ".repeat(10_000), "sampling_params": { "temperature": 0 } });
    let refused = served.post("/generate", &long);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("context"));
}

#[test]
fn seeds_decide_and_requests_without_one_differ() {
    let served = start();
    let ask = |params: Value| {
        let mut params = params;
        params["max_new_tokens"] = json!(30);
        ids(&served
            .post(
                "/generate",
                &json!({ "input_ids": [3], "sampling_params": params }),
            )
            .json()["output_ids"])
    };
    let seeded = ask(json!({ "sampling_seed": 7 }));
    assert_eq!(seeded, ask(json!({ "sampling_seed": 7, "top_k": -1 })));
    assert_ne!(seeded, ask(json!({ "sampling_seed": 8 })));
    assert_ne!(ask(json!({})), ask(json!({})));
}

#[test]
fn the_references_own_requests_are_taken() {
    let served = start();
    // sglang_backend.py and Endpoints' adapter.
    for params in [
        json!({ "max_new_tokens": 5, "temperature": 0.001, "top_k": 1, "top_p": 1.0 }),
        json!({ "max_new_tokens": 5, "temperature": 1.0, "top_k": -1, "top_p": 1.0 }),
    ] {
        let answer = served.post(
            "/generate",
            &json!({ "input_ids": [1, 2, 3], "sampling_params": params, "stream": false }),
        );
        assert_eq!(answer.json()["output_ids"].as_array().unwrap().len(), 5);
    }
}
