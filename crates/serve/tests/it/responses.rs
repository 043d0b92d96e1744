//! OpenAI's `/v1/responses`.

use serde_json::{Value, json};

use crate::common::saying;

const THOUGHT: &str = "<|channel|>analysis<|message|>Add thém.<|end|><|start|>assistant<|channel|>final<|message|>It is 3.<|return|>";

#[test]
fn a_response_has_thoughts_and_a_message_and_comes_back_as_it_left() {
    let served = saying(THOUGHT);
    let body = json!({ "input": "1 + 2?", "instructions": "Be brief.", "store": true, "reasoning": { "effort": "low" } });
    let answer = served.post("/v1/responses", &body).json();
    assert_eq!(
        (&answer["object"], &answer["status"], &answer["store"]),
        (&json!("response"), &json!("completed"), &json!(false))
    );
    let output = answer["output"].as_array().unwrap();
    assert_eq!(output.len(), 2);
    assert_eq!(
        (&output[0]["type"], &output[0]["content"][0]["text"]),
        (&json!("reasoning"), &json!("Add thém."))
    );
    assert_eq!(
        (&output[1]["type"], &output[1]["content"][0]["text"]),
        (&json!("message"), &json!("It is 3."))
    );
    let usage = &answer["usage"];
    let tokens = |of: &Value| of.as_u64().unwrap();
    assert_eq!(
        tokens(&usage["input_tokens"]) + tokens(&usage["output_tokens"]),
        tokens(&usage["total_tokens"])
    );
    let thoughts = tokens(&usage["output_tokens_details"]["reasoning_tokens"]);
    assert!(thoughts > 0 && thoughts < tokens(&usage["output_tokens"]));

    let mut items =
        vec![json!({ "role": "user", "content": [{ "type": "input_text", "text": "1 + 2?" }] })];
    items.extend(output.iter().cloned());
    items.push(json!({ "type": "message", "role": "user", "content": "And 3 + 4?" }));
    let again = served.post("/v1/responses", &json!({ "input": items }));
    assert_eq!(again.status, 200, "{}", again.text());

    let cut = served
        .post(
            "/v1/responses",
            &json!({ "input": "?", "max_output_tokens": 4 }),
        )
        .json();
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    for (extra, expected) in [
        (
            json!({ "previous_response_id": "resp_1" }),
            "previous_response_id",
        ),
        (json!({ "tools": [{ "type": "web_search" }] }), "tools"),
        (
            json!({ "input": [{ "type": "function_call_output", "output": "3" }] }),
            "function_call_output",
        ),
        (
            json!({ "text": { "format": { "type": "json_schema" } } }),
            "json_schema",
        ),
    ] {
        let mut body = body.clone();
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let answer = served.post("/v1/responses", &body);
        assert!(
            answer.status == 400 && answer.text().contains(expected),
            "{expected}: {}",
            answer.text()
        );
    }
}

#[test]
fn a_streamed_response_ends_with_what_a_whole_one_is() {
    let served = saying(THOUGHT);
    let body = json!({ "input": "1 + 2?", "stream": true });
    let answer = served.post("/v1/responses", &body);
    let text = answer.text();
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds[..3],
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added"
        ]
    );
    assert_eq!(kinds.last(), Some(&"response.completed"));
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], at);
    }
    let all = |kind: &str| -> String {
        let deltas = events.iter().filter(|event| event["type"] == kind);
        deltas
            .map(|event| event["delta"].as_str().unwrap())
            .collect()
    };
    assert_eq!(
        (
            all("response.reasoning_text.delta"),
            all("response.output_text.delta")
        ),
        ("Add thém.".into(), "It is 3.".into())
    );
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!(output[1]["content"][0]["text"], "It is 3.");
    assert_eq!(output.as_array().unwrap().len(), 2);
}
