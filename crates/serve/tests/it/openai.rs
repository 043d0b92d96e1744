//! OpenAI's `/v1/completions` and `/v1/models`, with vLLM's token ids.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Answer, CAPACITY, Served, Wanted, expected, ids, start, streamed};

fn complete(served: &Served, extra: Value) -> Answer {
    let mut body = json!({ "model": "any", "prompt": [5, 6], "max_tokens": 10, "temperature": 0, "return_token_ids": true });
    body.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    served.post("/v1/completions", &body)
}

#[test]
fn a_completion_has_text_ids_and_usage() {
    let served = start();
    let answer = complete(&served, json!({})).json();
    assert_eq!(answer["object"], "text_completion");
    assert_eq!(answer["model"], "gpt-oss-120b");
    assert!(answer["id"].as_str().unwrap().starts_with("cmpl-"));
    let choice = &answer["choices"][0];
    assert_eq!(ids(&choice["token_ids"]), expected(&[5, 6], 10));
    assert_eq!(ids(&choice["prompt_token_ids"]), [5, 6]);
    assert_eq!(
        (&choice["index"], &choice["finish_reason"]),
        (&json!(0), &json!("length"))
    );
    assert!(choice["text"].is_string());
    assert_eq!(
        answer["usage"],
        json!({ "prompt_tokens": 2, "completion_tokens": 10, "total_tokens": 12, "prompt_tokens_details": { "cached_tokens": 0 } })
    );
    let plain = complete(&served, json!({ "return_token_ids": false })).json();
    assert!(plain["choices"][0].get("token_ids").is_none());
}

#[test]
fn prompts_come_in_every_spelling_and_choices_in_their_order() {
    let served = start();
    let lists = complete(&served, json!({ "prompt": [[1], [2, 3]], "n": 2 })).json();
    let choices = lists["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 4);
    for (index, choice) in choices.iter().enumerate() {
        let prompt: &[u32] = if index < 2 { &[1] } else { &[2, 3] };
        assert_eq!(
            (&choice["index"], ids(&choice["token_ids"])),
            (&json!(index), expected(prompt, 10))
        );
    }
    assert_eq!(lists["usage"]["prompt_tokens"], 3);
    let text = complete(&served, json!({ "prompt": "1 + 1" })).json();
    let texts = complete(&served, json!({ "prompt": ["1 + 1", "2"] })).json();
    assert_eq!(
        texts["choices"][0]["token_ids"],
        text["choices"][0]["token_ids"]
    );
    // Sampled choices of one request differ even when it brings a seed.
    let sampled = complete(
        &served,
        json!({ "n": 2, "temperature": 1, "seed": 3, "max_tokens": 30 }),
    )
    .json();
    assert_ne!(
        sampled["choices"][0]["token_ids"],
        sampled["choices"][1]["token_ids"]
    );
}

#[test]
fn streams_carry_what_is_new_and_usage_when_asked() {
    let served = Wanted {
        step_time: Duration::from_millis(1),
        ..Wanted::default()
    }
    .start();
    let whole = complete(&served, json!({})).json();
    let ask = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let events = streamed(|| complete(&served, ask.clone()), |events| events.len() > 3);
    let (usage, events) = events.split_last().unwrap();
    assert_eq!(
        (&usage["choices"], &usage["usage"]),
        (&json!([]), &whole["usage"])
    );
    let tokens: Vec<u32> = events
        .iter()
        .flat_map(|event| ids(&event["choices"][0]["token_ids"]))
        .collect();
    assert_eq!(tokens, expected(&[5, 6], 10));
    let text: String = events
        .iter()
        .map(|event| event["choices"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(text, whole["choices"][0]["text"]);
    let prompts: Vec<_> = events
        .iter()
        .filter_map(|event| event["choices"][0].get("prompt_token_ids"))
        .collect();
    assert_eq!(prompts, [&json!([5, 6])]);
    let reasons: Vec<_> = events
        .iter()
        .map(|event| event["choices"][0]["finish_reason"].clone())
        .collect();
    assert_eq!(reasons.last(), Some(&json!("length")));
    assert!(reasons[..reasons.len() - 1].iter().all(Value::is_null));
    assert!(
        complete(&served, json!({ "stream": true }))
            .events()
            .last()
            .unwrap()
            .get("usage")
            .is_none()
    );
}

#[test]
fn without_a_tokenizer_ids_still_work() {
    let served = Wanted {
        text: false,
        ..Wanted::default()
    }
    .start();
    let answer = complete(&served, json!({})).json();
    assert_eq!(
        ids(&answer["choices"][0]["token_ids"]),
        expected(&[5, 6], 10)
    );
    assert_eq!(answer["choices"][0]["text"], "");
    let refused = complete(&served, json!({ "prompt": "text" }));
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("no tokenizer"));
}

#[test]
fn the_model_is_listed() {
    let models = start().get("/v1/models").json();
    assert_eq!(
        (&models["object"], &models["data"][0]["id"]),
        (&json!("list"), &json!("gpt-oss-120b"))
    );
    assert_eq!(models["data"][0]["max_model_len"], CAPACITY.max_context);
}

/// What MLCommons' Endpoints client sends with `api_type: openai_completions`.
#[test]
fn fields_that_say_nothing_are_no_obstacle() {
    let served = start();
    let extra = json!({
        "min_tokens": 1, "skip_special_tokens": false, "top_k": -1, "top_p": 1.0, "repetition_penalty": 1.0, "n": null,
        "presence_penalty": 0.0, "frequency_penalty": 0, "stop": null, "user": "me", "logprobs": null,
    });
    assert_eq!(complete(&served, extra).status, 200);
}
