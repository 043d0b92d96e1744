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
        (servers[0].api, servers[1].api),
        (RemoteApi::Sglang, RemoteApi::OpenAi)
    );
    assert!(servers[0].seeded);
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
    assert!(!remote.servers()[0].seeded);
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
    assert!(with(|s| s.timeout = Duration::ZERO).contains("--http-timeout"));
    assert!(with(|s| s.api_key = Some("a b".into())).contains("API key"));
    assert!(with(|s| s.max_concurrency = 1 << 20).contains("ulimit"));
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
