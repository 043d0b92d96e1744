//! What is found out, and refused, before the first request.

use std::time::Duration;

use ossmark_remote::{Api as RemoteApi, Error, Remote, Settings};

use crate::script::{Api, Do, json, response, serve, serve_raw, settings, sglang};

fn start(settings: Settings) -> Result<Remote, Error> {
    Remote::start(settings, Box::new(|_| true))
}

fn refused(settings: Settings) -> String {
    match start(settings) {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn servers_are_recognised() {
    let sglang = serve(Api::Sglang, false, vec![]);
    let openai = serve(Api::OpenAi, false, vec![]);
    let remote = start(settings(&[&sglang.url, &openai.url], false)).unwrap();
    let servers = remote.servers();
    assert_eq!(
        (servers[0].dialect, servers[1].dialect),
        ("SGLang /generate", "vLLM /v1/completions")
    );
    assert!(servers[0].seeded());
    let differences = remote.differences();
    assert!(
        differences.len() == 1 && differences[0].contains("API"),
        "{differences:?}"
    );
    assert_eq!(servers[0].model_info["model_path"], "gpt-oss");
    assert_eq!(servers[1].model_info["data"][0]["id"], "gpt-oss");
}

#[test]
fn an_sglang_that_refuses_seeds_gets_none() {
    let refusal = response(
        "400 Bad Request",
        "application/json",
        "{\"error\": {\"message\": \"Unexpected keyword argument 'sampling_seed'\"}}",
    );
    let good = json(&sglang(&[1, 2], 2, "length").replace(": 3,", ": 1,"));
    let server = serve_raw(Api::Sglang, vec![vec![refusal], vec![good]]);
    let remote = start(settings(&[&server.url], false)).unwrap();
    assert!(!remote.servers()[0].seeded());
    assert_eq!(remote.servers()[0].unsaid, ["seed"]);
}

/// An answer of two tokens to the first request, in the form of vLLM's completions.
const TWO: &str = "{\"choices\": [{\"token_ids\": [1, 2], \"text\": \"\", \"finish_reason\": \"length\"}], \"usage\": \
                   {\"prompt_tokens\": 1, \"completion_tokens\": 2}}";

#[test]
fn other_dialects_are_tried_in_turn() {
    let refusal = |what: &str| {
        let body = format!("{{\"error\": {{\"message\": \"{what}\"}}}}");
        vec![response("400 Bad Request", "application/json", &body)]
    };
    let dynamo = "{\"choices\": [{\"text\": \"\", \"index\": 0, \"finish_reason\": \"length\"}], \"usage\": {\"prompt_tokens\": 1, \
                  \"completion_tokens\": 2}, \"nvext\": {\"completion_token_ids\": [5, 6], \"prompt_token_ids\": [0]}}";
    let unknown = || refusal("Unsupported parameter(s): return_token_ids");
    for (script, expected, unsaid) in [
        (vec![vec![json(TWO)]], "vLLM /v1/completions", &[][..]),
        (
            vec![unknown(), vec![json(dynamo)]],
            "Dynamo /v1/completions",
            &[],
        ),
        (
            vec![unknown(), refusal("min_p"), vec![json(dynamo)]],
            "Dynamo /v1/completions",
            &["min_p"],
        ),
        (
            vec![unknown(), unknown(), unknown(), vec![json(TWO)]],
            "TensorRT-LLM /v1/completions",
            &[],
        ),
        (
            vec![unknown(), unknown(), unknown(), unknown(), vec![json(TWO)]],
            "vLLM /inference/v1/generate",
            &[],
        ),
    ] {
        let server = serve_raw(Api::OpenAi, script);
        let remote = start(settings(&[&server.url], false)).unwrap();
        assert_eq!(remote.servers()[0].dialect, expected);
        assert_eq!(remote.servers()[0].unsaid, unsaid);
    }
}

#[test]
fn a_dialect_can_be_asked_for_by_name() {
    for (api, expected) in [
        (RemoteApi::Vllm, "vLLM /v1/completions"),
        (RemoteApi::VllmGenerate, "vLLM /inference/v1/generate"),
        (RemoteApi::TensorRtLlm, "TensorRT-LLM /v1/completions"),
        (RemoteApi::SglangCompletions, "SGLang /v1/completions"),
        (RemoteApi::Dynamo, "Dynamo /v1/completions"),
        (RemoteApi::OpenAi, "vLLM /v1/completions"),
    ] {
        let server = serve_raw(Api::OpenAi, vec![vec![json(TWO)]]);
        let mut asked = settings(&[&server.url], false);
        asked.api = Some(api);
        assert_eq!(start(asked).unwrap().servers()[0].dialect, expected);
    }
}

#[test]
fn what_was_tried_is_told_and_a_gateway_without_ids_is_named() {
    let body = "{\"error\": {\"message\": \"prompt must be a string\"}}";
    let no_ids = vec![response("400 Bad Request", "application/json", body)];
    let text = vec![json("{\"choices\": [{\"text\": \"hi\"}]}")];
    let mut script = vec![no_ids; 5];
    script.push(text);
    let server = serve_raw(Api::OpenAi, script);
    let message = refused(settings(&[&server.url], false));
    for expected in [
        "vLLM /v1/completions, Dynamo /v1/completions, TensorRT-LLM /v1/completions, vLLM /inference/v1/generate: HTTP 400",
        "prompt must be a string",
        "gateways do not pass",
        "--endpoint",
    ] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn two_models_behind_one_run_are_refused() {
    let sglang = serve(Api::Sglang, false, vec![]);
    let other = serve(Api::OtherModel, false, vec![]);
    let message = refused(settings(&[&sglang.url, &other.url], false));
    for expected in ["serves gpt-oss ", "serves another", "one model"] {
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn nobody_there() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let message = refused(settings(&[&url], false));
    assert!(
        message.contains(&url)
            && message.contains("cannot connect")
            && message.contains("check that"),
        "{message}"
    );
    let message = refused(settings(&["http://no-such-host.invalid"], false));
    assert!(message.contains("address"), "{message}");
}

#[test]
fn somebody_else_there() {
    let other = serve_raw(Api::OpenAi, vec![vec![json("{}")]]);
    let mut asked = settings(&[&other.url], false);
    asked.api = Some(RemoteApi::Sglang);
    let message = refused(asked);
    assert!(
        message.contains("first request failed") && message.contains("meta_info"),
        "{message}"
    );
    let mut path = settings(&[&format!("{}/elsewhere", other.url)], false);
    path.api = None;
    // Every GET but /get_model_info is answered with a model list by this server, whatever the path.
    assert!(refused(path).contains("no choices"));
}

#[test]
fn a_server_without_ids_is_refused() {
    let text_only = "{\"choices\": [{\"text\": \"hi\", \"finish_reason\": \"stop\"}], \"usage\": {\"completion_tokens\": 1}}";
    let server = serve_raw(Api::OpenAi, vec![vec![json(text_only)]]);
    let message = refused(settings(&[&server.url], false));
    assert!(message.contains("not tokenised again"), "{message}");
}

#[test]
fn a_silent_server_is_refused_in_time() {
    let server = serve_raw(Api::Sglang, vec![vec![Do::Sleep(Duration::from_secs(30))]]);
    let mut hurried = settings(&[&server.url], false);
    hurried.timeout = Duration::from_millis(300);
    let message = refused(hurried);
    assert!(message.contains("no answer within 0.3 s"), "{message}");
}

#[test]
fn settings_out_of_range() {
    let with = |change: fn(&mut Settings)| {
        let mut settings = settings(&["http://127.0.0.1:1"], false);
        change(&mut settings);
        refused(settings)
    };
    assert!(with(|s| s.endpoints.clear()).contains("--endpoint"));
    assert!(with(|s| s.max_concurrency = 0).contains("--max-concurrency"));
    assert!(with(|s| s.timeout = Duration::ZERO).contains("--timeout"));
    assert!(with(|s| s.api_key = Some("a b".into())).contains("API key"));
    // Memory, open files or ports: which of them is missing first is the machine's.
    assert!(with(|s| s.max_concurrency = 1 << 20).contains("lower --max-concurrency"));
}

#[test]
fn a_server_that_compresses_unasked_is_refused_with_the_reason() {
    let coded = Do::Send(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\0"
            .to_vec(),
    );
    for stream in [false, true] {
        let server = serve_raw(Api::Sglang, vec![vec![coded.clone()]]);
        let message = refused(settings(&[&server.url], stream));
        assert!(
            message.contains("content-encoding: gzip")
                && message.contains("switch compression off"),
            "{message}"
        );
        assert!(!message.contains(char::is_control), "{message:?}");
    }
}

#[test]
fn what_a_server_says_at_the_start_acts_on_nothing() {
    let nasty = response(
        "500 Internal Server Error",
        "text/plain",
        "a\u{1b}[2J\nb\u{7}",
    );
    let server = serve_raw(Api::Sglang, vec![vec![nasty]]);
    let message = refused(settings(&[&server.url], false));
    assert!(message.contains("a\\u{1b}[2J\\nb\\u{7}"), "{message}");
}
