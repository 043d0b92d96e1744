//! Clients that go away after they have sent more than one request, and clients that do so and stay.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::common::{Served, Wanted, expected, ids, post, read_answer, start, wait_for};

fn keep_alive(request: Vec<u8>) -> Vec<u8> {
    let request = String::from_utf8(request).unwrap();
    request.replace("Connection: close\r\n", "").into_bytes()
}

fn tokens(stream: bool, max_new_tokens: u32) -> Vec<u8> {
    let body = json!({ "input_ids": [1, 2, 3], "stream": stream, "sampling_params": { "temperature": 0, "max_new_tokens": max_new_tokens } });
    keep_alive(post("/generate", body.to_string().as_bytes()))
}

/// Left alone, an answer of this server takes longer than coming to rest may.
fn slow() -> Served {
    Wanted {
        step_time: Duration::from_millis(60),
        ..Wanted::default()
    }
    .start()
}

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn a_client_that_sent_more_before_it_went_is_noticed() {
    let ways: [fn(TcpStream); 3] = [
        drop,
        |stream| {
            socket2::SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        },
        // Says that it will send no more. Whoever does that has gone, here as with any request.
        |stream| {
            stream.shutdown(Shutdown::Write).unwrap();
            // The server closes its side.
            let _ = read_answer(&mut { stream });
        },
    ];
    let second = tokens(false, 5);
    let half = &tokens(true, 400)[..70];
    let long = [&tokens(false, 5)[..], &vec![b'x'; 20_000]].concat();
    let mut gone = 0;
    let served = slow();
    for go in ways {
        let mut clients = Vec::new();
        for stream in [false, true] {
            for more in [&b""[..], b"G", HEALTH, &second, half, &long] {
                let mut client = served.connect();
                client
                    .write_all(&[&tokens(stream, 500)[..], more].concat())
                    .unwrap();
                clients.push(client);
            }
        }
        let n = clients.len();
        wait_for(&served, "ossmark_requests_in_engine", n as f64);
        clients.into_iter().for_each(go);
        gone += n as u64;
        served.at_rest(gone);
    }
    served.works();
}

#[test]
fn requests_sent_ahead_are_answered_in_their_order() {
    let served = Wanted {
        step_time: Duration::from_millis(5),
        ..Wanted::default()
    }
    .start();
    let mut client = served.connect();
    let last = String::from_utf8(tokens(true, 7)).unwrap();
    let last = last.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let all = [&tokens(false, 20)[..], HEALTH, &tokens(false, 5), HEALTH];
    client
        .write_all(&[&all.concat()[..], last.as_bytes()].concat())
        .unwrap();
    let mut answers = Vec::new();
    std::io::Read::read_to_end(&mut client, &mut answers).unwrap();
    let answers = String::from_utf8(answers).unwrap();
    let mut rest = answers.split("HTTP/1.1 200 OK\r\n").skip(1);
    for n in [Some(20), None, Some(5), None] {
        let (_, body) = rest.next().unwrap().split_once("\r\n\r\n").unwrap();
        match n {
            None => assert_eq!(body, r#"{"status":"ok"}"#),
            Some(n) => {
                let body: serde_json::Value = serde_json::from_str(body).unwrap();
                assert_eq!(ids(&body["output_ids"]), expected(&[1, 2, 3], n));
            }
        }
    }
    assert!(rest.next().unwrap().contains("data: [DONE]"));
    assert_eq!(rest.next(), None);
    served.at_rest(0);
}

#[test]
fn what_can_be_answered_at_once_is_answered_to_a_client_that_sends_no_more() {
    let served = start();
    let mut client = served.connect();
    client.write_all(&HEALTH.repeat(50)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answers = String::new();
    std::io::Read::read_to_string(&mut client, &mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 50);
}
