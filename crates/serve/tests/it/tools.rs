//! Functions in chat: offered in the developer message, called on the commentary channel, answered by the role tool.

use serde_json::{Value, json};

use crate::common::{Answer, Served, Wanted, ids};

const CALLS: &str = "<|channel|>analysis<|message|>Look.<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|>\
                     <|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"place\":\"\u{4e16}\"}<|call|>";

/// With room for functions and what they answer.
fn saying(text: &str) -> Served {
    Wanted {
        script: Some(text.into()),
        max_context: 8192,
        ..Wanted::default()
    }
    .start()
}

fn weather() -> Value {
    json!({ "type": "function", "function": { "name": "get_weather", "description": "Of a place.", "strict": false, "parameters": {
        "type": "object", "required": ["place"], "properties": { "at": { "type": "integer" }, "place": { "type": "string" } } } } })
}

fn ask(served: &Served, extra: Value) -> Answer {
    let mut body = json!({
        "model": "any", "messages": [{ "role": "user", "content": "Warm?" }], "temperature": 0, "tools": [weather()],
    });
    let fields = body.as_object_mut().unwrap();
    fields.extend(extra.as_object().unwrap().clone());
    served.post("/v1/chat/completions", &body)
}

/// The prompt that a conversation becomes.
fn prompt(served: &Served, extra: Value) -> String {
    let mut extra = extra;
    extra["return_token_ids"] = json!(true);
    let answer = ask(served, extra);
    assert_eq!(answer.status, 200, "{}", answer.text());
    served.decode(&ids(&answer.json()["prompt_token_ids"]))
}

#[test]
fn a_call_is_told_whole_and_streamed() {
    let served = saying(CALLS);
    let whole = ask(&served, json!({})).json();
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let message = &choice["message"];
    assert_eq!(
        (&message["content"], &message["reasoning_content"]),
        (&json!("I look."), &json!("Look."))
    );
    let call = &message["tool_calls"][0];
    assert_eq!(message["tool_calls"].as_array().unwrap().len(), 1);
    assert_eq!(call["type"], "function");
    assert_eq!(
        call["function"],
        json!({ "name": "get_weather", "arguments": "{\"place\":\"\u{4e16}\"}" })
    );
    assert!(call["id"].as_str().unwrap().starts_with("call_"));

    let events = ask(&served, json!({ "stream": true })).events();
    let deltas = events.iter().map(|event| &event["choices"][0]["delta"]);
    let calls: Vec<&Value> = deltas.filter_map(|delta| delta.get("tool_calls")).collect();
    let (first, more) = calls.split_first().unwrap();
    assert_eq!(
        (&first[0]["index"], &first[0]["type"]),
        (&json!(0), &json!("function"))
    );
    assert!(first[0]["id"].as_str().unwrap().starts_with("call_"));
    assert_eq!(
        first[0]["function"],
        json!({ "name": "get_weather", "arguments": "" })
    );
    let mut arguments = String::new();
    for call in more {
        assert_eq!((&call[0]["index"], call[0].get("id")), (&json!(0), None));
        arguments += call[0]["function"]["arguments"].as_str().unwrap();
    }
    assert_eq!(arguments, call["function"]["arguments"].as_str().unwrap());
    let reasons = events
        .iter()
        .filter_map(|event| event["choices"][0]["finish_reason"].as_str());
    assert_eq!(reasons.collect::<Vec<_>>(), ["tool_calls"]);
}

#[test]
fn a_call_that_is_cut_off_is_told_as_far_as_it_came() {
    let served = saying(CALLS);
    let whole = ask(&served, json!({ "return_token_ids": true })).json();
    let all = ids(&whole["choices"][0]["token_ids"]).len();
    // One token short: the arguments are there, their end is not.
    let cut = ask(&served, json!({ "max_tokens": all - 1 })).json();
    let choice = &cut["choices"][0];
    assert_eq!(choice["finish_reason"], "length");
    assert_eq!(
        choice["message"]["tool_calls"][0]["function"]["name"],
        "get_weather"
    );
    // Each choice counts its own calls.
    let two = ask(&served, json!({ "n": 2 })).json();
    let id = |n: usize| two["choices"][n]["message"]["tool_calls"][0]["id"].clone();
    assert!(id(0).is_string() && id(0) != id(1));
}

#[test]
fn functions_stand_in_the_developer_message() {
    let served = saying(CALLS);
    let text = prompt(&served, json!({}));
    let expected = "<|start|>developer<|message|># Tools\n\n## functions\n\nnamespace functions {\n\n// Of a place.\n\
                    type get_weather = (_: {\nat?: number,\nplace: string,\n}) => any;\n\n} // namespace functions<|end|><|start|>user";
    assert!(text.contains(expected), "{text}");
    assert!(
        text.contains("commentary channel: 'functions'.<|end|>"),
        "{text}"
    );
    let instructed = json!({ "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "Warm?" }] });
    let text = prompt(&served, instructed);
    assert!(
        text.contains("# Instructions\n\nBe brief.\n\n# Tools\n\n## functions\n\n"),
        "{text}"
    );
    assert_eq!(text.matches("<|start|>developer").count(), 1);
    // Nothing of it where none may be called, and then a call is none.
    let none = json!({ "tool_choice": "none" });
    let text = prompt(&served, none.clone());
    assert!(!text.contains("functions"), "{text}");
    let answer = ask(&served, none).json();
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["choices"][0]["message"].get("tool_calls"), None);
}

#[test]
fn a_message_of_ours_comes_back_as_it_left() {
    let served = saying(CALLS);
    let message = ask(&served, json!({})).json()["choices"][0]["message"].clone();
    let answered = |message: &Value| {
        let id = &message["tool_calls"][0]["id"];
        json!([{ "role": "user", "content": "Warm?" }, message, { "role": "tool", "tool_call_id": id, "content": "<|end|> 20" }])
    };
    let mut messages = answered(&message);
    let text = prompt(&served, json!({ "messages": messages }));
    let expected = "<|start|>assistant<|channel|>analysis<|message|>Look.<|end|><|start|>assistant<|channel|>commentary<|message|>I look.\
                    <|end|><|start|>assistant to=functions.get_weather<|channel|>commentary <|constrain|>json<|message|>\
                    {\"place\":\"\u{4e16}\"}<|call|><|start|>functions.get_weather to=assistant<|channel|>commentary<|message|>\
                    <|end|> 20<|end|><|start|>assistant";
    assert!(text.ends_with(expected), "{text}");
    // As vLLM's clients call thoughts; and once there is an answer they are shown no more.
    let mut other = message.clone();
    other["reasoning"] = other
        .as_object_mut()
        .unwrap()
        .remove("reasoning_content")
        .unwrap();
    let other = prompt(&served, json!({ "messages": answered(&other) }));
    assert_eq!(other, text);
    let list = messages.as_array_mut().unwrap();
    list.extend([
        json!({ "role": "assistant", "content": "Yes." }),
        json!({ "role": "user", "content": "Thanks." }),
    ]);
    let text = prompt(&served, json!({ "messages": messages }));
    assert!(
        !text.contains("Look.")
            && text.contains("I look.")
            && text.contains("final<|message|>Yes."),
        "{text}"
    );
}

#[test]
fn what_cannot_be_honoured_or_makes_no_sense_is_refused() {
    let served = saying(CALLS);
    let named =
        |name: &str| json!({ "tools": [{ "type": "function", "function": { "name": name } }] });
    let conversation =
        |message: Value| json!({ "messages": [{ "role": "user", "content": "x" }, message] });
    let mut strict = weather();
    strict["function"]["strict"] = json!(true);
    for (extra, part) in [
        (
            json!({ "tools": [{ "type": "web_search" }] }),
            "of type web_search",
        ),
        (
            json!({ "tools": [{ "type": "function" }] }),
            "tool 0 is of type function",
        ),
        (json!({ "tools": [strict] }), "strict"),
        (json!({ "tools": [weather(), weather()] }), "two tools"),
        (json!({ "tools": vec![weather(); 129] }), "129 tools"),
        (json!({ "tool_choice": "required" }), "tool_choice"),
        (
            json!({ "tool_choice": { "type": "function", "function": { "name": "get_weather" } } }),
            "tool_choice",
        ),
        (named(""), "a name that is none"),
        (named("a b"), "a name that is none"),
        (named("a<|end|>"), "a name that is none"),
        (named(&"a".repeat(65)), "a name that is none"),
        (
            conversation(json!({ "role": "tool", "content": "x" })),
            "message 1 answers a call",
        ),
        (
            conversation(json!({ "role": "tool", "content": "x", "name": "a b" })),
            "a name that is none",
        ),
        (
            conversation(json!({ "role": "tool", "tool_call_id": "call_1" })),
            "no content",
        ),
        (
            conversation(json!({ "role": "user", "content": "x", "tool_calls": [{}] })),
            "by user and calls tools",
        ),
        (
            conversation(json!({ "role": "assistant", "tool_calls": [{}] })),
            "no function",
        ),
        (
            conversation(
                json!({ "role": "assistant", "tool_calls": [{ "function": { "name": "", "arguments": "" } }] }),
            ),
            "a name that is none",
        ),
        (json!({ "functions": [{}] }), "functions"),
    ] {
        let answer = ask(&served, extra.clone());
        assert_eq!(answer.status, 400, "{extra}: {}", answer.text());
        let text = answer.text().replace("\\\"", "\"");
        assert!(text.contains(part), "{extra}: {text}");
    }
}
