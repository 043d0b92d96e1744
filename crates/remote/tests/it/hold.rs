//! Servers that go and come back, with time to do so: nothing is lost; without, everything ends at once.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use ossmark_protocol::{End, Event};
use ossmark_remote::{Remote, Settings};

use crate::script::{
    Api, Do, Reply, client, events, json, last_chunk, request, response, serve, settings, sglang,
    text,
};

fn held(url: &str, stream: bool, hold: Duration) -> Settings {
    Settings {
        hold: Some(hold),
        ..settings(&[url], stream)
    }
}

#[test]
fn whatever_breaks_with_the_server_is_asked_again_from_the_beginning() {
    let half = text(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"output_ids\"",
    );
    let mut begun = events(&[&sglang(&[99], 1, "")]);
    begun.push(Do::Reset);
    let mut unfinished = events(&[&sglang(&[98], 1, "")]);
    unfinished.push(last_chunk());
    let mut good_stream = events(&[&sglang(&[5], 1, ""), &sglang(&[5, 6], 2, "stop"), "[DONE]"]);
    good_stream.push(last_chunk());
    let loading = || vec![response("503 Service Unavailable", "text/plain", "loading")];
    let cases: [(bool, Vec<Reply>, Reply); 2] = [
        (
            false,
            vec![vec![half, Do::Close], vec![Do::Close], loading()],
            vec![json(&sglang(&[5, 6], 2, "stop"))],
        ),
        (true, vec![begun, unfinished, loading()], good_stream),
    ];
    for (stream, bad, good) in cases {
        let n = bad.len();
        let mut script = bad;
        script.push(good);
        let server = serve(Api::Sglang, stream, script);
        let client = client(held(&server.url, stream, Duration::from_secs(60)));
        let got = &client.ask(1)[0];
        // Tokens of a broken attempt are nowhere.
        assert_eq!(
            (got.tokens.as_slice(), &got.end),
            (&[5, 6][..], &Some(End::Stop))
        );
        let stats = client.stats();
        assert_eq!(stats.failed, 0);
        assert!(stats.held > 0 && stats.held as usize <= n, "{stats:?}");
    }
}

#[test]
fn what_the_server_says_about_a_request_is_not_asked_again() {
    for bad in [
        response("500 Internal Server Error", "text/plain", "boom"),
        response("400 Bad Request", "text/plain", "no"),
        json(&sglang(&[5, 6], 3, "stop")),
    ] {
        let server = serve(Api::Sglang, false, vec![vec![bad]]);
        let client = client(held(&server.url, false, Duration::from_secs(60)));
        assert!(matches!(client.ask(1)[0].end, Some(End::Failed(_))));
        assert_eq!(client.stats().held, 0);
    }
}

#[test]
fn servers_that_stay_away_end_everything_and_no_request_is_burnt() {
    let server = serve(Api::Sglang, false, vec![vec![Do::Close]]);
    let (send, events) = channel();
    let sink = Box::new(move |event| send.send(event).is_ok());
    let remote = Remote::start(held(&server.url, false, Duration::from_millis(600)), sink).unwrap();
    drop(server);
    remote
        .submit((0..50).map(|i| request(i, 1)).collect())
        .unwrap();
    match events.recv_timeout(Duration::from_secs(20)).unwrap() {
        Event::Fatal(message) => {
            assert!(
                message.contains("no server answered for 0.6 s (--hold)"),
                "{message}"
            );
        }
        event @ Event::Step(_) => panic!("a request was ended: {event:?}"),
    }
    // Nothing comes after it: what was open is abandoned, not ended.
    let rest = events.recv_timeout(Duration::from_secs(20));
    assert_eq!(rest, Err(RecvTimeoutError::Disconnected));
}
