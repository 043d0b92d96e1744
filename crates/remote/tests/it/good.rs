//! Servers that behave: both APIs, streamed and whole, kept connections, limits, routing.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use ossmark_protocol::{End, RequestId};

use crate::script::{
    Api, Do, chunk, client, events, json, last_chunk, serve, settings, sglang, text,
};

#[test]
fn whole_answers_of_sglang() {
    let server = serve(
        Api::Sglang,
        false,
        vec![
            vec![json(&sglang(&[5, 6, 7], 3, "stop"))],
            vec![json(&sglang(&[1, 2, 3, 4, 5, 6, 7, 8], 8, "length"))],
        ],
    );
    let client = client(settings(&[&server.url], false));
    let first = &client.ask(1)[0];
    assert_eq!(
        (first.tokens.as_slice(), &first.end),
        (&[5, 6, 7][..], &Some(End::Stop))
    );
    let second = &client.ask(1)[0];
    assert_eq!((second.tokens.len(), &second.end), (8, &Some(End::Length)));
    // The second used the first's connection.
    assert_eq!((client.stats().connections, client.stats().retries), (1, 0));
}

#[test]
fn streams_in_both_shapes_and_their_first_token_comes_first() {
    let pause = Do::Sleep(Duration::from_millis(300));
    let mut whole_so_far = events(&[&sglang(&[5], 1, "")]);
    whole_so_far.push(pause.clone());
    whole_so_far.extend([
        chunk(&format!("data: {}\n\n", sglang(&[5, 6, 7], 3, ""))),
        chunk(&format!(
            "data: {}\n\ndata: [DONE]\n\n",
            sglang(&[5, 6, 7, 8], 4, "stop")
        )),
        last_chunk(),
    ]);
    let mut new_only = events(&[&sglang(&[5], 1, "")]);
    new_only.push(pause);
    new_only.extend([
        chunk(&format!("data: {}\r\n\r\n", sglang(&[6, 7], 3, ""))),
        // An event cut in two by the network, and a comment to keep the connection alive.
        chunk(": ping\n\ndata: "),
        chunk(&sglang(&[8], 4, "stop")),
        chunk("\n\ndata: [DONE]\n\n"),
        last_chunk(),
    ]);
    let server = serve(Api::Sglang, true, vec![whole_so_far, new_only]);
    let client = client(settings(&[&server.url], true));
    for _ in 0..2 {
        let got = &client.ask(1)[0];
        assert_eq!(
            (got.tokens.as_slice(), &got.end),
            (&[5, 6, 7, 8][..], &Some(End::Stop))
        );
        // The pause makes the first token an event of its own.
        assert!(got.pieces >= 2, "{} pieces", got.pieces);
    }
    assert_eq!(client.stats().connections, 1);
}

#[test]
fn openai_whole_and_streamed() {
    let whole = "{\"choices\": [{\"index\": 0, \"text\": \"x\", \"token_ids\": [5, 6], \"prompt_token_ids\": [7, 8, 9], \
                 \"finish_reason\": \"stop\"}], \"usage\": {\"prompt_tokens\": 3, \"completion_tokens\": 2}}";
    let server = serve(Api::OpenAi, false, vec![vec![json(whole)]]);
    let got = client(settings(&[&server.url], false)).ask(1).remove(0);
    assert_eq!(
        (got.tokens.as_slice(), &got.end),
        (&[5, 6][..], &Some(End::Stop))
    );

    let mut stream = events(&[
        "{\"choices\": [{\"text\": \"x\", \"token_ids\": [5], \"prompt_token_ids\": [7, 8, 9], \"finish_reason\": null}]}",
        "{\"choices\": [{\"text\": \"y\", \"token_ids\": [6, 7], \"finish_reason\": \"length\"}]}",
        "{\"choices\": [], \"usage\": {\"prompt_tokens\": 3, \"completion_tokens\": 3}}",
        "[DONE]",
    ]);
    stream.push(last_chunk());
    let server = serve(Api::OpenAi, true, vec![stream]);
    let got = client(settings(&[&server.url], true)).ask(1).remove(0);
    assert_eq!(
        (got.tokens.as_slice(), &got.end),
        (&[5, 6, 7][..], &Some(End::Length))
    );
}

#[test]
fn no_more_requests_at_once_than_allowed() {
    let reply = vec![
        Do::Sleep(Duration::from_millis(150)),
        json(&sglang(&[5, 6], 2, "stop")),
    ];
    let server = serve(Api::Sglang, false, vec![reply]);
    let mut limited = settings(&[&server.url], false);
    limited.max_concurrency = 2;
    let client = client(limited);
    let began = Instant::now();
    assert!(client.ask(6).iter().all(|got| got.end == Some(End::Stop)));
    // Six requests, two at a time: three rounds. Sooner would be more than two at a time.
    assert!(began.elapsed() >= Duration::from_millis(450));
    assert_eq!(client.stats().connections, 2);
}

#[test]
fn requests_go_to_the_least_loaded() {
    let slow = vec![
        Do::Sleep(Duration::from_secs(2)),
        json(&sglang(&[5, 6], 2, "stop")),
    ];
    let quick = vec![json(&sglang(&[5, 6], 2, "stop"))];
    let (slow, quick) = (
        serve(Api::Sglang, false, vec![slow]),
        serve(Api::Sglang, false, vec![quick]),
    );
    let mut both = settings(&[&slow.url, &quick.url], false);
    both.max_concurrency = 4;
    let client = client(both);
    assert!(client.ask(40).iter().all(|got| got.end == Some(End::Stop)));
    let by = client.stats().by_endpoint;
    assert_eq!(by.iter().map(|endpoint| endpoint.requests).sum::<u64>(), 40);
    assert!(
        by[0].requests <= 4,
        "the slow one got {} of 40",
        by[0].requests
    );
}

#[test]
fn a_connection_that_the_server_closed_between_requests_costs_nothing_but_a_new_one() {
    let once = vec![
        text("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n"),
        text(&sglang(&[5, 6], 2, "stop")),
        Do::Close,
    ];
    let server = serve(Api::Sglang, false, vec![once]);
    let client = client(settings(&[&server.url], false));
    for _ in 0..3 {
        assert_eq!(client.ask(1)[0].end, Some(End::Stop));
    }
    assert_eq!((client.stats().connections, client.stats().failed), (3, 0));
    assert_eq!(server.requests.load(SeqCst), 4);
}

#[test]
fn cancelled_requests_end_at_once_and_the_server_sees_it() {
    let silence = vec![Do::Sleep(Duration::from_secs(30))];
    let server = serve(Api::Sglang, true, vec![silence]);
    let mut limited = settings(&[&server.url], true);
    limited.max_concurrency = 2;
    let client = client(limited);
    let began = Instant::now();
    let ids: Vec<RequestId> = (0..5).map(RequestId).collect();
    // Two are under way, three wait; one id is of no request.
    client.submit(5);
    while server.requests.load(SeqCst) < 3 {
        std::thread::sleep(Duration::from_millis(5));
    }
    client.remote.cancel(vec![RequestId(99)]);
    client.remote.cancel(ids);
    let got = client.collect(5);
    assert!(got.iter().all(|got| got.end == Some(End::Cancelled)));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(client.stats().failed, 0);
}

#[test]
fn a_stream_that_comes_all_at_once() {
    let mut all = Vec::new();
    let mut steps = events(&[
        &sglang(&[5], 1, ""),
        &sglang(&[5, 6], 2, ""),
        &sglang(&[5, 6, 7], 3, "stop"),
        "[DONE]",
    ]);
    steps.push(last_chunk());
    for step in steps {
        let Do::Send(bytes) = step else {
            unreachable!()
        };
        all.extend(bytes);
    }
    let server = serve(Api::Sglang, true, vec![vec![Do::Send(all)]]);
    let got = client(settings(&[&server.url], true)).ask(50);
    assert!(
        got.iter()
            .all(|got| got.tokens == [5, 6, 7] && got.end == Some(End::Stop))
    );
}
