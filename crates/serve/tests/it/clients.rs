//! What load generators, gateways and test suites send and ask, as they were seen to (docs/serve.md).

use ossmark_serve::{ApiKey, Settings};
use serde_json::{Value, json};

use crate::common::{CAPACITY, Served, Wanted, ids, post, saying, start};

fn completion(extra: Value) -> Value {
    let mut body =
        json!({ "prompt": [5, 6], "max_tokens": 100, "temperature": 0, "return_token_ids": true });
    body.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    body
}

#[test]
fn a_stop_text_ends_an_answer_before_it_in_every_interface_streamed_or_whole() {
    let served = saying("one twé END three<|return|>");
    for (stop, keep, text) in [
        (json!("END"), false, "one twé "),
        (json!(["x", "é E"]), false, "one tw"),
        (json!(["END"]), true, "one twé END"),
    ] {
        let body = completion(json!({ "stop": stop, "include_stop_str_in_output": keep }));
        let whole = served.post("/v1/completions", &body).json();
        let choice = &whole["choices"][0];
        assert_eq!(
            (&choice["text"], &choice["finish_reason"]),
            (&json!(text), &json!("stop"))
        );
        // The tokens are those that the text took; the rest was never asked for.
        let tokens = ids(&choice["token_ids"]);
        assert_eq!(whole["usage"]["completion_tokens"], tokens.len());
        let all = served.decode(&tokens);
        assert!(all.starts_with(text) && !all.contains("three"), "{all}");

        let mut streamed = body.clone();
        streamed["stream"] = json!(true);
        let events = served.post("/v1/completions", &streamed).events();
        let shown: String = events
            .iter()
            .map(|event| event["choices"][0]["text"].as_str().unwrap())
            .collect();
        assert_eq!(shown, text);
        assert_eq!(
            events.last().unwrap()["choices"][0]["finish_reason"],
            "stop"
        );
    }
    let params = json!({ "stop": ["END"], "max_new_tokens": 100, "temperature": 0 });
    let body = json!({ "input_ids": [5, 6], "sampling_params": params });
    let answer = served.post("/generate", &body).json();
    assert_eq!(answer["text"], "one twé ");
    assert_eq!(
        answer["meta_info"]["finish_reason"],
        json!({ "type": "stop", "matched": "END" })
    );
}

#[test]
fn a_stop_text_of_a_conversation_is_looked_for_in_what_the_reader_sees() {
    let served = saying(
        "<|channel|>analysis<|message|>Not END here.<|end|><|start|>assistant<|channel|>final<|message|>Yes. END no<|return|>",
    );
    let mut body = json!({ "messages": [{ "role": "user", "content": "?" }], "stop": ["END"], "temperature": 0 });
    let message =
        served.post("/v1/chat/completions", &body).json()["choices"][0]["message"].clone();
    assert_eq!(message["content"], "Yes. ");
    assert_eq!(message["reasoning_content"], "Not END here.");
    body["stream"] = json!(true);
    let events = served.post("/v1/chat/completions", &body).events();
    let content: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(content, "Yes. ");
}

#[test]
fn an_answer_of_ours_comes_back_as_it_left() {
    let served = saying("<|channel|>analysis<|message|>Long thoughts<|return|>");
    let ask = |messages: Value| {
        let body = json!({ "messages": messages, "temperature": 0, "max_tokens": 4 });
        served.post("/v1/chat/completions", &body)
    };
    let question = json!({ "role": "user", "content": "?" });
    // Cut off in its thoughts: it has no content.
    let cut = ask(json!([question])).json()["choices"][0]["message"].clone();
    assert!(
        cut["content"].is_null() && cut["reasoning_content"].is_string(),
        "{cut}"
    );
    let again = ask(json!([question, cut, question]));
    assert_eq!(again.status, 200, "{}", again.text());
    let empty = ask(json!([question, { "role": "assistant", "content": null }]));
    assert!(
        empty.status == 400 && empty.text().contains("no content"),
        "{}",
        empty.text()
    );
}

#[test]
fn fields_of_guidellm_aiperf_vllm_bench_and_smg_are_taken() {
    let served = start();
    let guidellm = completion(
        json!({ "max_tokens": 10, "ignore_eos": true, "stop": null, "stream": true,
        "stream_options": { "include_usage": true, "continuous_usage_stats": true } }),
    );
    let events = served.post("/v1/completions", &guidellm).events();
    let used: Vec<_> = events
        .iter()
        .map(|event| event["usage"]["completion_tokens"].as_u64())
        .collect();
    assert!(
        used.iter().all(Option::is_some) && used.is_sorted(),
        "{used:?}"
    );
    assert_eq!(used.last(), Some(&Some(10)));
    assert_eq!(
        events[0]["usage"]["prompt_tokens_details"]["cached_tokens"],
        0
    );
    let vllm_bench = completion(
        json!({ "max_tokens": 7, "repetition_penalty": 1.0, "logprobs": null, "ignore_eos": true,
        "min_tokens": 7 }),
    );
    let answer = served.post("/v1/completions", &vllm_bench).json();
    assert_eq!(answer["usage"]["completion_tokens"], 7);
    let smg = json!({ "input_ids": [1, 2], "model": "m", "return_logprob": false, "return_text_in_logprobs": false,
        "log_metrics": true, "background": false, "no_logs": false, "return_bytes": false, "return_entropy": false,
        "return_hidden_states": false, "stream": false,
        "sampling_params": { "max_new_tokens": 3, "min_p": 0.0, "n": 1, "stop": [], "skip_special_tokens": true } });
    let answer = served.post("/generate", &smg);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn all_fields_that_want_something_are_named_at_once() {
    let served = start();
    let body = json!({ "input_ids": [1], "whatever": 1, "return_bytes": true,
        "sampling_params": { "min_p": 0.5, "tempreature": 1, "n": 2 } });
    let answer = served.post("/generate", &body);
    assert_eq!(answer.status, 400);
    for name in [
        "whatever (1)",
        "return_bytes (true)",
        "min_p (0.5)",
        "tempreature (1)",
        "n (2)",
    ] {
        assert!(answer.text().contains(name), "{name}: {}", answer.text());
    }
}

const QUESTIONS: [&str; 7] = [
    "/version",
    "/server_info",
    "/get_server_info",
    "/model_info",
    "/get_model_info",
    "/v1/loads?include=core",
    "/get_load",
];

#[test]
fn questions_of_gateways_are_answered_and_tell_no_secret() {
    let key = "0123456789abcdef-key";
    let served = Wanted {
        settings: Settings {
            api_key: Some(ApiKey::new(key, "test").unwrap()),
            model_name: "openai/gpt-oss".into(),
            ..Settings::default()
        },
        ..Wanted::default()
    }
    .start();
    let get = |path: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
        );
        served.raw(request.as_bytes())
    };
    for path in QUESTIONS {
        assert_eq!(served.get(path).status, 401, "{path}");
        let answer = get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let text = answer.text();
        for secret in [key, "127.0.0.1", "localhost", env!("CARGO_MANIFEST_DIR")] {
            assert!(!text.contains(secret), "{path}: {text}");
        }
    }
    assert_eq!(
        get("/get_model_info").json()["model_path"],
        "openai/gpt-oss"
    );
    assert_eq!(
        get("/server_info").json()["context_length"],
        CAPACITY.max_context
    );
    assert_eq!(
        get("/v1/loads").json()["loads"].as_array().unwrap().len(),
        1
    );
    let model = get("/v1/models/openai/gpt-oss");
    assert_eq!(
        (model.status, &model.json()["id"]),
        (200, &json!("openai/gpt-oss"))
    );
    assert_eq!(get("/v1/models/gpt-4").status, 404);
    for path in ["/v1/models/openai/gpt-oss", "/health_generate"] {
        assert_eq!(served.get(path).status, 401, "{path}");
    }
    assert_eq!(get("/health_generate").status, 200);
}

#[test]
fn a_web_page_cannot_have_tokens_made() {
    let served = start();
    let get = |site: &str| {
        let request = format!(
            "GET /health_generate HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: {site}\r\nConnection: close\r\n\r\n"
        );
        served.raw(request.as_bytes()).status
    };
    assert_eq!(
        (get("cross-site"), get("same-site"), get("none")),
        (403, 403, 200)
    );
    let text_plain = String::from_utf8(post("/tokenize", b"{\"prompt\":\"a\"}")).unwrap();
    let text_plain = text_plain.replace("application/json", "text/plain");
    assert_eq!(served.raw(text_plain.as_bytes()).status, 415);
}

#[test]
fn texts_become_ids_and_ids_texts_within_bounds() {
    let served = start();
    let text = "1 + 1 <|end|> é";
    let answer = served
        .post(
            "/tokenize",
            &json!({ "prompt": text, "model": "m", "add_special_tokens": false }),
        )
        .json();
    let tokens = ids(&answer["tokens"]);
    assert_eq!(
        (&answer["count"], &answer["max_model_len"]),
        (&json!(tokens.len()), &json!(CAPACITY.max_context))
    );
    let back = served
        .post("/detokenize", &json!({ "tokens": tokens }))
        .json();
    assert_eq!(
        (&back["prompt"], &back["text"]),
        (&json!(text), &json!(text))
    );
    let long = "word ".repeat(100_000);
    for (path, body, expected) in [
        ("/tokenize", json!({ "prompt": long }), "context of"),
        ("/tokenize", json!({ "prompt": [1, 2] }), "one text"),
        (
            "/tokenize",
            json!({ "prompt": "a", "return_token_strs": true }),
            "return_token_strs",
        ),
        (
            "/detokenize",
            json!({ "tokens": vec![1; 1000] }),
            "at most the context",
        ),
        (
            "/detokenize",
            json!({ "tokens": [448] }),
            "outside the vocabulary",
        ),
        (
            "/detokenize",
            json!({ "tokens": [1], "whatever": 2 }),
            "whatever",
        ),
    ] {
        let answer = served.post(path, &body);
        assert!(
            answer.status == 400 && answer.text().contains(expected),
            "{path}: {}",
            answer.text()
        );
    }
    served.at_rest(0);
}

/// Of the fake engine: a token's logit is its number above something.
fn fake_logprob(token: u32) -> f64 {
    let below_most = f64::from(CAPACITY.vocab_size - 1 - token);
    -below_most - (1.0 / (1.0 - (-1f64).exp())).ln()
}

#[test]
fn log_probabilities_are_those_of_the_logits_with_the_prompt_echoed_or_not() {
    let served = start();
    let body = completion(json!({ "max_tokens": 3, "logprobs": 2, "echo": true }));
    let whole = served.post("/v1/completions", &body).json();
    let choice = &whole["choices"][0];
    let tokens = [&[5, 6], &ids(&choice["token_ids"])[..]].concat();
    let logprobs = &choice["logprobs"];
    let own = logprobs["token_logprobs"].as_array().unwrap();
    assert_eq!(
        (own.len(), &own[0], &logprobs["top_logprobs"][0]),
        (5, &Value::Null, &Value::Null)
    );
    for (at, token) in tokens.iter().enumerate().skip(1) {
        let found = own[at].as_f64().unwrap();
        assert!((found - fake_logprob(*token)).abs() < 1e-3, "{at}: {found}");
        let top: Vec<f64> = logprobs["top_logprobs"][at]
            .as_object()
            .unwrap()
            .values()
            .map(|v| v.as_f64().unwrap())
            .collect();
        let most = top.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!((most - fake_logprob(447)).abs() < 1e-3);
        // Two, and the token itself.
        assert!((2..=3).contains(&top.len()));
    }
    let names: Vec<String> = serde_json::from_value(logprobs["tokens"].clone()).unwrap();
    assert_eq!(
        (
            names.len(),
            logprobs["text_offset"].as_array().unwrap().len()
        ),
        (5, 5)
    );
    assert!(
        choice["text"]
            .as_str()
            .unwrap()
            .starts_with(&served.decode(&[5, 6]))
    );

    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let events = served.post("/v1/completions", &streamed).events();
    let pieces = events.iter().flat_map(|event| {
        event["choices"][0]["logprobs"]["token_logprobs"]
            .as_array()
            .unwrap()
            .clone()
    });
    assert_eq!(pieces.collect::<Vec<_>>(), *own);
    let text: String = events
        .iter()
        .map(|event| event["choices"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(text, choice["text"]);

    let plain = completion(json!({ "max_tokens": 3, "logprobs": 0 }));
    let plain = served.post("/v1/completions", &plain).json();
    assert_eq!(
        plain["choices"][0]["logprobs"]["token_logprobs"]
            .as_array()
            .unwrap()[..],
        own[2..]
    );

    let chat = json!({ "messages": [{ "role": "user", "content": "?" }], "max_tokens": 4, "logprobs": true, "top_logprobs": 3,
        "temperature": 0 });
    let answer = served.post("/v1/chat/completions", &chat).json();
    let content = answer["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap();
    assert_eq!(
        content.len() as u64,
        answer["usage"]["completion_tokens"].as_u64().unwrap()
    );
    assert_eq!(content[0]["top_logprobs"].as_array().unwrap().len(), 3);
    served.at_rest(0);
}

#[test]
fn log_probabilities_have_bounds_and_need_logits() {
    let served = start();
    let ask = |served: &Served, extra: Value| served.post("/v1/completions", &completion(extra));
    for (extra, expected) in [
        (json!({ "logprobs": 21 }), "expected 0 to 20"),
        (
            json!({ "logprobs": 1, "n": 128, "prompt": vec![vec![1; 400]; 30] }),
            "MiB of logits",
        ),
    ] {
        let answer = ask(&served, extra);
        assert!(
            answer.status == 400 && answer.text().contains(expected),
            "{}",
            answer.text()
        );
    }
    served.at_rest(0);
    let scripted = saying("no logits<|return|>");
    let answer = ask(&scripted, json!({ "logprobs": 1 }));
    assert!(
        answer.status == 400 && answer.text().contains("no logits"),
        "{}",
        answer.text()
    );
    let echoed = ask(&scripted, json!({ "echo": true })).json();
    let expected = scripted.decode(&[5, 6]) + "no logits";
    assert_eq!(echoed["choices"][0]["text"], expected);
}
