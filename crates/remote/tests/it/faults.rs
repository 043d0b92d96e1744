//! Servers that do not behave. Each request ends as a failure that says what happened; the client goes on.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use ossmark_protocol::End;

use crate::script::{
    Api, Client, Do, Reply, Scripted, client, events, failure, json, last_chunk, response, serve,
    settings, sglang, text,
};

fn broken(stream: bool, reply: Reply) -> (Scripted, Client) {
    let server = serve(Api::Sglang, stream, vec![reply]);
    let client = client(settings(&[&server.url], stream));
    (server, client)
}

/// One request to a server that answers so; the message of its failure.
fn message(stream: bool, reply: Reply) -> String {
    let (server, client) = broken(stream, reply);
    let got = client.ask(1);
    assert_eq!(client.stats().failed, 1);
    let message = failure(&got[0]).to_owned();
    assert!(message.starts_with(&server.url), "{message}");
    message
}

#[test]
fn whole_answers_that_are_none() {
    let ok = |body: &str| vec![json(body)];
    for (reply, expected) in [
        (ok("{\"output_ids\": [5, 6"), "not the JSON"),
        (ok(""), "not the JSON"),
        (ok(&sglang(&[5, 6], 3, "stop")), "counts 3"),
        (ok(&sglang(&[], 0, "stop")), "no tokens"),
        (ok(&sglang(&[5, 6], 2, "")), "without a finish_reason"),
        (ok(&sglang(&[5, 6], 2, "abort")), "abort"),
        (ok(&sglang(&[1; 9], 9, "length")), "asked for at most"),
        (
            ok(&sglang(&[5, 6], 2, "stop").replace(": 3,", ": 2,")),
            "truncated",
        ),
        (
            ok("{\"error\": {\"message\": \"out of memory\"}}"),
            "out of memory",
        ),
        (
            ok("{\"text\": \"hi\", \"meta_info\": {\"completion_tokens\": 1}}"),
            "does not return token ids",
        ),
        (
            vec![response("500 Internal Server Error", "text/plain", "boom")],
            "HTTP 500 Internal Server Error: boom",
        ),
        (
            vec![response("302 Found", "text/plain", "elsewhere")],
            "HTTP 302",
        ),
        (vec![text("SSH-2.0-OpenSSH_9.6\r\n"), Do::Close], "broke"),
    ] {
        let message = message(false, reply);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn lengths_that_lie() {
    let body = sglang(&[5, 6], 2, "stop");
    let head = |n: usize| {
        text(&format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {n}\r\n\r\n{body}"
        ))
    };
    // Longer than what comes, shorter than what comes, and chunks that end in the middle.
    assert!(message(false, vec![head(body.len() + 5), Do::Close]).contains("broke off"));
    assert!(message(false, vec![head(body.len() - 5), Do::Close]).contains("not the JSON"));
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffff\r\n{\"output_ids\"";
    assert!(message(false, vec![text(chunked), Do::Close]).contains("broke off"));
    let nonsense = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    assert!(message(false, vec![text(nonsense), Do::Close]).contains("broke off"));
}

#[test]
fn streams_that_end_early_or_lie() {
    let first = sglang(&[5], 1, "");
    let with = |more: &[&str], last: Vec<Do>| {
        let mut all = vec![first.as_str()];
        all.extend(more);
        let mut reply = events(&all);
        reply.extend(last);
        reply
    };
    let done = || vec![last_chunk()];
    for (reply, expected) in [
        (with(&[], vec![Do::Close]), "broke off"),
        (with(&[], vec![Do::Reset]), "broke off"),
        (with(&[], vec![Do::HalfClose]), "broke off"),
        (with(&[], done()), "before [DONE]"),
        (
            with(&[&sglang(&[5, 6], 2, "stop")], done()),
            "before [DONE]",
        ),
        (with(&["[DONE]"], done()), "without a finish_reason"),
        (with(&["{"], done()), "not the JSON"),
        (
            with(&[&sglang(&[7], 3, ""), "[DONE]"], done()),
            "ids are missing",
        ),
        (
            with(&[&sglang(&[9, 6], 2, "stop"), "[DONE]"], done()),
            "changed",
        ),
        (
            with(&["{\"error\": {\"message\": \"gone\"}}"], done()),
            "the server reported: gone",
        ),
        (
            vec![json(&sglang(&[5, 6], 2, "stop"))],
            "no text/event-stream",
        ),
    ] {
        let message = message(true, reply);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn an_endless_event_is_cut() {
    let mut reply = events(&[]);
    let line = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    reply.extend((0..20).map(|_| text(&line)));
    assert!(message(true, reply).contains("longer than"));
}

#[test]
fn slow_servers_run_into_the_time_limit() {
    let drip: Vec<Do> = (0..200)
        .flat_map(|_| [text("x"), Do::Sleep(Duration::from_millis(50))])
        .collect();
    let mut head = vec![text("HTTP/1.1 200 OK\r\nx-drip: ")];
    head.extend(drip.clone());
    let mut stream = events(&[&sglang(&[5], 1, "")]);
    stream.push(text("ffff\r\n"));
    stream.extend(drip);
    let silence = vec![Do::Sleep(Duration::from_secs(30))];
    for (streamed, reply, so_far) in [
        (false, head, "tokens so far: 0"),
        (true, stream, "tokens so far: 1"),
        (false, silence.clone(), "tokens so far: 0"),
        (true, silence, "tokens so far: 0"),
    ] {
        let server = serve(Api::Sglang, streamed, vec![reply]);
        let mut hurried = settings(&[&server.url], streamed);
        hurried.timeout = Duration::from_millis(700);
        let client = client(hurried);
        let began = Instant::now();
        let got = client.ask(3);
        assert!(began.elapsed() < Duration::from_secs(5));
        for got in &got {
            let message = failure(got);
            assert!(
                message.contains("within 0.7 s") && message.contains(so_far),
                "{message}"
            );
        }
        assert_eq!(client.stats().timed_out, 3);
        let here = client.stats().by_endpoint[0];
        assert_eq!((here.requests, here.timed_out), (3, 3));
    }
}

#[test]
fn a_break_before_the_response_is_retried_and_counted() {
    let good = vec![json(&sglang(&[5, 6], 2, "stop"))];
    for bad in [vec![Do::Close], vec![Do::Reset]] {
        let server = serve(Api::Sglang, false, vec![bad.clone(), bad, good.clone()]);
        let client = client(settings(&[&server.url], false));
        let got = &client.ask(1)[0];
        assert_eq!(
            (got.tokens.as_slice(), &got.end),
            (&[5, 6][..], &Some(End::Stop))
        );
        assert_eq!((client.stats().retries, client.stats().requests), (2, 1));
        let here = client.stats().by_endpoint[0];
        assert_eq!((here.requests, here.retries, here.timed_out), (3, 2, 0));
    }
}

#[test]
fn a_break_after_the_first_byte_is_never_retried() {
    for head in ["H", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"] {
        let (server, client) = broken(false, vec![text(head), Do::Close]);
        let got = client.ask(1);
        assert!(failure(&got[0]).contains("broke"), "{}", failure(&got[0]));
        assert_eq!(client.stats().retries, 0);
        // The warm-up and this one.
        assert_eq!(server.requests.load(SeqCst), 2);
    }
}

#[test]
fn retries_end() {
    let (server, client) = broken(false, vec![Do::Close]);
    let got = client.ask(1);
    assert!(
        failure(&got[0]).contains("sent 3 times"),
        "{}",
        failure(&got[0])
    );
    assert_eq!(client.stats().retries, 2);
    assert_eq!(server.requests.load(SeqCst), 4);
}

#[test]
fn a_server_that_refuses_everything_does_not_draw_all_requests() {
    let bad = vec![response("503 Service Unavailable", "text/plain", "full")];
    let good = vec![
        Do::Sleep(Duration::from_millis(10)),
        json(&sglang(&[5, 6], 2, "stop")),
    ];
    let (bad, good) = (
        serve(Api::Sglang, false, vec![bad]),
        serve(Api::Sglang, false, vec![good]),
    );
    let mut both = settings(&[&bad.url, &good.url], false);
    both.max_concurrency = 4;
    let client = client(both);
    let failed = client
        .ask(100)
        .iter()
        .filter(|got| got.end != Some(End::Stop))
        .count();
    // A response has begun, so the first few are lost; without care it would be nearly all.
    assert!((1..=20).contains(&failed), "{failed} of 100 failed");
}

#[test]
fn an_endpoint_that_goes_away_is_left_for_another() {
    let reply = vec![json(&sglang(&[5, 6], 2, "stop"))];
    let (going, staying) = (
        serve(Api::Sglang, false, vec![reply.clone()]),
        serve(Api::Sglang, false, vec![reply]),
    );
    let client = client(settings(&[&going.url, &staying.url], false));
    drop(going);
    assert!(client.ask(50).iter().all(|got| got.end == Some(End::Stop)));
    assert!(client.stats().retries > 0);
}

/// A response with one more header and a body of any bytes.
fn coded(status: &str, kind: &str, header: &str, body: &[u8]) -> Reply {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{header}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    vec![Do::Send([head.as_bytes(), body].concat())]
}

/// The beginning of gzip data, with all that a terminal would act upon.
const BINARY: &[u8] = b"\x1f\x8b\x08\0\x1b[2J\x1b]0;title\x07\x9b31mraw\r\n\xe2\x80\xae";

#[track_caller]
fn is_plain(message: &str) {
    let acts = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(
        !message.contains(acts) && message.len() < 4000,
        "{message:?}"
    );
}

#[test]
fn compressed_answers_are_refused_by_name() {
    let json = "application/json";
    for (stream, status, kind) in [
        (false, "200 OK", json),
        (true, "200 OK", "text/event-stream"),
        (false, "500 Internal Server Error", json),
        (true, "404 Not Found", "text/html"),
    ] {
        for coding in [
            "gzip",
            "GZIP",
            "br",
            "zstd",
            "deflate",
            "x-gzip",
            "\u{fe}\u{ff}",
        ] {
            for header in [
                format!("content-encoding: {coding}"),
                format!("Content-Encoding: identity, {coding}"),
                format!("content-encoding: identity\r\ncontent-encoding:{coding}"),
            ] {
                let message = message(stream, coded(status, kind, &header, BINARY));
                is_plain(&message);
                let named = format!("content-encoding: {coding}");
                assert!(message.contains(&named), "{message}");
                assert!(!message.contains("raw"), "{message}");
            }
        }
    }
    // Said in the header of the transfer.
    let head = text(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
    );
    let message = message(false, vec![head, text("2\r\n{}\r\n0\r\n\r\n")]);
    assert!(message.contains("transfer-encoding: gzip"), "{message}");
    // What is none is taken.
    let good = sglang(&[5, 6], 2, "stop");
    let reply = coded(
        "200 OK",
        json,
        "content-encoding: Identity",
        good.as_bytes(),
    );
    let (_server, client) = broken(false, reply);
    assert_eq!(client.ask(1)[0].end, Some(End::Stop));
}

#[test]
fn whatever_a_server_says_is_shown_on_one_line_and_acts_on_nothing() {
    let kind = "application/json";
    let plain = "x-nothing: 0";
    let nasty = "out\u{1b}[2J\u{202e}of\u{7}\nmemory";
    let quoted = serde_json::to_string(nasty).unwrap();
    let long = format!("{}end", nasty.repeat(5000));
    let meta = |finish: &str| {
        format!(
            "{{\"output_ids\": [5, 6], \"meta_info\": {{\"prompt_tokens\": 3, \"completion_tokens\": 2, \"finish_reason\": {finish}}}}}"
        )
    };
    for (status, body) in [
        ("200 OK", BINARY.to_vec()),
        ("200 OK", nasty.as_bytes().to_vec()),
        ("200 OK", long.as_bytes().to_vec()),
        ("200 OK", format!("{{\"error\": {quoted}}}").into_bytes()),
        (
            "200 OK",
            format!("{{\"error\": {{\"message\": {quoted}}}}}").into_bytes(),
        ),
        (
            "200 OK",
            format!("{{\"output_ids\": {quoted}}}").into_bytes(),
        ),
        (
            "200 OK",
            format!(
                "{{\"output_ids\": {}}}",
                serde_json::to_string(&long).unwrap()
            )
            .into_bytes(),
        ),
        (
            "200 OK",
            meta(&format!("{{\"type\": {quoted}}}")).into_bytes(),
        ),
        (
            "200 OK",
            meta(&format!(
                "{{\"type\": {}}}",
                serde_json::to_string(&long).unwrap()
            ))
            .into_bytes(),
        ),
        (
            "200 OK",
            meta(&format!("{{\"type\": \"abort\", \"message\": {quoted}}}")).into_bytes(),
        ),
        ("500 Internal Server Error", BINARY.to_vec()),
        ("500 Internal Server Error", long.as_bytes().to_vec()),
        ("503 \u{1b}[2J", nasty.as_bytes().to_vec()),
    ] {
        let message = message(false, coded(status, kind, plain, &body));
        is_plain(&message);
        assert!(
            !message.contains("end") || !body.ends_with(b"end"),
            "not cut: {message}"
        );
    }
    for event in [format!("{{\"error\": {quoted}}}"), "\u{1b}[2J".into()] {
        let mut reply = events(&[&event]);
        reply.push(last_chunk());
        is_plain(&message(true, reply));
    }
    let mut kinds = events(&[]);
    kinds.push(crate::script::chunk(
        "event: \u{1b}[2J\u{9b}\ndata: \u{7}\n\n",
    ));
    is_plain(&message(true, kinds));
}

#[test]
fn a_seed_that_servers_cannot_take_is_refused_and_never_changed() {
    let (server, client) = broken(false, vec![json(&sglang(&[5, 6], 2, "stop"))]);
    client.submit_seeded(u64::MAX);
    let got = client.collect(1);
    assert!(
        failure(&got[0]).contains("seed is 18446744073709551615"),
        "{}",
        failure(&got[0])
    );
    // Only the warm-up came.
    assert_eq!(server.requests.load(SeqCst), 1);
    client.submit_seeded(i64::MAX as u64);
    assert_eq!(client.collect(1)[0].end, Some(End::Stop));
}
