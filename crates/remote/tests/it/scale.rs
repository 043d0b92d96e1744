//! Several threads, several addresses to connect from, and pieces of several tokens.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use ossmark_protocol::{End, RequestId};
use ossmark_remote::{Remote, Settings};

use crate::script::{
    Api, Do, Scripted, client, events, json, last_chunk, response, serve, serve_raw, settings,
    sglang,
};

#[test]
fn requests_of_many_threads_each_end_once_and_the_limit_is_that_of_all() {
    let mut stream = events(&[&sglang(&[5], 1, "")]);
    stream.push(Do::Sleep(Duration::from_millis(1)));
    stream.extend(events(&[&sglang(&[5, 6], 2, "stop"), "[DONE]"]).split_off(1));
    stream.push(last_chunk());
    let server = serve(Api::Sglang, true, vec![stream]);
    let many = Settings {
        threads: Some(5),
        max_concurrency: 7,
        ..settings(&[&server.url], true)
    };
    let client = client(many);
    // What comes twice for one request, or after its end, is found by the client.
    let got = client.ask(300);
    let right = |tokens: &[u32], end: &Option<End>| tokens == [5, 6] && *end == Some(End::Stop);
    assert!(got.iter().all(|got| right(&got.tokens, &got.end)));
    let stats = client.stats();
    assert_eq!((stats.requests, stats.failed, stats.pieces), (300, 0, 900));
    assert!(stats.connections <= 7, "{stats:?}");
    client.remote.shutdown();
    assert!(client.remote.submit(Vec::new()).is_err());
}

#[test]
fn connections_are_there_before_the_first_request() {
    let mut stream = events(&[&sglang(&[5, 6], 2, "stop"), "[DONE]"]);
    stream.push(last_chunk());
    let server = serve(Api::Sglang, true, vec![stream]);
    // Each thread has its own, and may be short of those of one server for a moment.
    let ahead = Settings {
        threads: Some(1),
        max_concurrency: 8,
        connect_ahead: 8,
        ..settings(&[&server.url], true)
    };
    let client = client(ahead);
    let end = Instant::now() + Duration::from_secs(20);
    while client.stats().connections < 8 {
        assert!(Instant::now() < end, "{:?}", client.stats());
        std::thread::sleep(Duration::from_millis(2));
    }
    let got = client.ask(40);
    assert!(got.iter().all(|got| got.end == Some(End::Stop)));
    // None had to be opened for a request.
    assert_eq!(client.stats().connections, 8);
}

/// Waits until the server has had so many requests.
fn sent(server: &Scripted, n: usize) {
    let end = Instant::now() + Duration::from_secs(20);
    while server.requests.load(SeqCst) < n {
        assert!(
            Instant::now() < end,
            "{:?} of {n} requests",
            server.requests
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_is_cancelled_on_any_thread_ends_and_others_take_its_place() {
    let silence = vec![Do::Sleep(Duration::from_secs(30))];
    let server = serve(Api::Sglang, true, vec![silence]);
    let many = Settings {
        threads: Some(3),
        max_concurrency: 6,
        ..settings(&[&server.url], true)
    };
    let client = client(many);
    client.submit(20);
    // Those that were sent, and each time one that waits, until all are gone. The warm-up was sent as well.
    sent(&server, 7);
    client.remote.cancel((0..6).map(RequestId).collect());
    sent(&server, 13);
    client.remote.cancel((6..20).map(RequestId).collect());
    let got = client.collect(20);
    assert!(got.iter().all(|got| got.end == Some(End::Cancelled)));
    assert_eq!(client.stats().requests, 12);
}

#[test]
fn connections_are_made_from_the_addresses_that_were_given() {
    let silence = vec![
        Do::Sleep(Duration::from_millis(300)),
        json(&sglang(&[5, 6], 2, "stop")),
    ];
    let server = serve(Api::Sglang, false, vec![silence]);
    let addresses: Vec<IpAddr> = ["127.0.0.2", "127.0.0.3"]
        .map(|a| a.parse().unwrap())
        .into();
    let spread = Settings {
        source_addresses: addresses.clone(),
        threads: Some(1),
        ..settings(&[&server.url], false)
    };
    let client = client(spread);
    server.clients.lock().unwrap().clear();
    assert!(client.ask(6).iter().all(|got| got.end == Some(End::Stop)));
    let clients = server.clients.lock().unwrap().clone();
    assert_eq!(clients.len(), 6);
    let from: HashSet<IpAddr> = clients.iter().map(|client| client.ip()).collect();
    assert_eq!(from, addresses.into_iter().collect());
}

#[test]
fn an_address_that_is_not_ours_is_told() {
    let server = serve(Api::Sglang, false, vec![]);
    for (address, expected) in [
        ("192.0.2.7", "cannot connect from 192.0.2.7"),
        ("::1", "no address of that kind"),
    ] {
        let foreign = Settings {
            source_addresses: vec![address.parse().unwrap()],
            ..settings(&[&server.url], false)
        };
        let error = Remote::start(foreign, Box::new(|_| true)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn servers_that_do_not_know_the_interval_are_asked_without() {
    let refusal = "{\"error\": {\"message\": \"Unexpected keyword argument 'stream_interval'\"}}";
    let two = sglang(&[1, 2], 2, "length").replace(": 3,", ": 1,");
    let good = || {
        let mut reply = events(&[&two, "[DONE]"]);
        reply.push(last_chunk());
        reply
    };
    let refusal = || vec![response("400 Bad Request", "application/json", refusal)];
    for (script, gathers) in [(vec![good()], true), (vec![refusal(), good()], false)] {
        let server = serve_raw(Api::Sglang, script);
        let wanted = Settings {
            stream_interval: 16,
            ..settings(&[&server.url], true)
        };
        let remote = Remote::start(wanted, Box::new(|_| true)).unwrap();
        let found = &remote.servers()[0];
        assert_eq!((found.gathers, found.seeded()), (gathers, true));
    }
}
