//! Clients that go away, engines that die, servers that are full or told to stop.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use ossmark_engine::fake::Fault;
use ossmark_serve::Settings;
use serde_json::json;

use crate::common::{LONG, Served, Wanted, expected, ids, post, read_answer, start, wait_for};

fn slow(step: Duration) -> Served {
    Wanted {
        step_time: step,
        ..Wanted::default()
    }
    .start()
}

fn body(stream: bool, max_new_tokens: u32) -> Vec<u8> {
    let body = json!({ "input_ids": [1, 2, 3], "stream": stream, "sampling_params": { "temperature": 0, "max_new_tokens": max_new_tokens } });
    post("/generate", body.to_string().as_bytes())
}

#[test]
fn clients_that_vanish_leave_nothing_behind() {
    // Left alone, these answers would take a minute: far longer than coming to rest may.
    let served = slow(Duration::from_millis(50));
    let n = 40;
    let mut streams: Vec<_> = (0..n).map(|_| served.connect()).collect();
    for (i, stream) in streams.iter_mut().enumerate() {
        stream.write_all(&body(i % 2 == 0, 400)).unwrap();
    }
    wait_for(&served, "ossmark_requests_open", n as f64);
    for (i, stream) in streams.iter_mut().enumerate() {
        match i % 4 {
            // In the middle of a stream, if it has begun by now.
            0 => {
                stream
                    .set_read_timeout(Some(Duration::from_millis(5)))
                    .unwrap();
                let _ = stream.read(&mut [0; 100]);
            }
            // Half-closed: says that it will send no more.
            1 => stream.shutdown(Shutdown::Write).unwrap(),
            _ => {}
        }
    }
    drop(streams);
    served.at_rest(n);
    let gone = served.metric("ossmark_http_requests_total{endpoint=\"/generate\",status=\"499\"}");
    assert!(gone >= n as f64 / 2.0, "{gone}");
    served.works();
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let served = Wanted {
        settings: Settings {
            write_timeout: Duration::from_millis(300),
            ..Settings::default()
        },
        step_time: Duration::from_micros(200),
        ..Wanted::default()
    }
    .start();
    let mut stream = served.connect();
    socket2::SockRef::from(&stream)
        .set_recv_buffer_size(4096)
        .unwrap();
    // Many answers in one stream: more than the kernel's buffers take.
    let prompts: Vec<[u32; 3]> = (0..64).map(|i| [i, 2, 3]).collect();
    let body = json!({ "input_ids": prompts, "stream": true, "sampling_params": { "temperature": 1, "max_new_tokens": 500 } });
    stream
        .write_all(&post("/generate", body.to_string().as_bytes()))
        .unwrap();
    wait_for(&served, "ossmark_requests_open", 64.0);
    let deadline = Instant::now() + LONG;
    while served.metric("ossmark_requests_open") > 0.0 {
        assert!(
            Instant::now() < deadline,
            "still waiting for a client that does not read"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(served.metric("ossmark_kv_blocks_used"), 0.0);
    served.works();
}

#[test]
fn keep_alive_connections_serve_one_request_after_another() {
    let served = start();
    let mut stream = served.connect();
    let request = String::from_utf8(body(false, 3))
        .unwrap()
        .replace("Connection: close\r\n", "");
    for last in [false, false, true] {
        let request = if last {
            request.replace(
                "Host: localhost\r\n",
                "Host: localhost\r\nConnection: close\r\n",
            )
        } else {
            request.clone()
        };
        stream.write_all(request.as_bytes()).unwrap();
        if !last {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
        }
    }
    assert_eq!(read_answer(&mut stream).status, 200);
    served.at_rest(0);
}

#[test]
fn a_full_server_says_so_and_recovers() {
    let served = Wanted {
        settings: Settings {
            max_concurrency: 4,
            ..Settings::default()
        },
        step_time: Duration::from_millis(2),
        ..Wanted::default()
    }
    .start();
    let mut open: Vec<_> = (0..4).map(|_| served.connect()).collect();
    for stream in &mut open {
        stream.write_all(&body(false, 50)).unwrap();
    }
    wait_for(&served, "ossmark_requests_open", 4.0);
    let refused = served.raw(&body(false, 5));
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(
        refused.head.to_lowercase().contains("retry-after: 1"),
        "{}",
        refused.head
    );
    for stream in &mut open {
        let answer = read_answer(stream);
        assert_eq!(ids(&answer.json()["output_ids"]), expected(&[1, 2, 3], 50));
    }
    served.works();
    // A batch counts as what it holds.
    let five = json!({ "input_ids": [[1], [2], [3], [4], [5]] });
    assert_eq!(served.post("/generate", &five).status, 429);
    served.at_rest(0);
}

fn dies_of(fault: Fault, part: &str) {
    for stream in [false, true] {
        let served = Wanted {
            fault: Some(fault),
            // Slow enough that a busy machine begins the stream before it breaks.
            step_time: Duration::from_millis(if stream { 100 } else { 1 }),
            ..Wanted::default()
        }
        .start();
        assert_eq!(served.get("/health").status, 200);
        let answer = served.raw(&body(stream, 400));
        if stream {
            // It had begun: the last event says why it breaks, and the connection is cut.
            assert_eq!(answer.status, 200);
            assert!(
                !answer.whole && !answer.text().contains("[DONE]"),
                "{}",
                answer.text()
            );
        } else {
            assert_eq!(answer.status, 500);
        }
        assert!(answer.text().contains(part), "{}", answer.text());
        let health = served.get("/health");
        assert_eq!(health.status, 503);
        assert!(health.text().contains(part));
        assert_eq!(served.raw(&body(stream, 4)).status, 500);
        assert_eq!(
            (
                served.metric("ossmark_engine_up"),
                served.metric("ossmark_requests_open")
            ),
            (0.0, 0.0)
        );
    }
}

#[test]
fn a_failing_engine_is_no_empty_answer() {
    dies_of(Fault::Fail(5), "fault drill: error in step 5");
}

#[test]
fn a_panicking_engine_is_no_empty_answer() {
    dies_of(Fault::Panic(5), "panicked");
}

#[test]
fn an_engine_that_fails_before_the_first_token_gives_streams_a_status_too() {
    let served = Wanted {
        fault: Some(Fault::Fail(1)),
        ..Wanted::default()
    }
    .start();
    assert_eq!(served.raw(&body(true, 4)).status, 500);
}

#[test]
fn a_shutdown_lets_open_requests_end() {
    let mut served = slow(Duration::from_millis(2));
    let mut open = [served.connect(), served.connect()];
    let idle = served.connect();
    open[0].write_all(&body(false, 100)).unwrap();
    open[1].write_all(&body(true, 100)).unwrap();
    wait_for(&served, "ossmark_requests_open", 2.0);
    served.stop();
    let tokens = expected(&[1, 2, 3], 100);
    assert_eq!(ids(&read_answer(&mut open[0]).json()["output_ids"]), tokens);
    assert_eq!(
        ids(&read_answer(&mut open[1]).events().pop().unwrap()["output_ids"]),
        tokens
    );
    assert!(
        std::net::TcpStream::connect(served.address).is_err(),
        "still listening"
    );
    assert!(served.ended());
    drop(idle);
}

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    let mut served = Wanted {
        settings: Settings {
            drain_timeout: Duration::from_millis(200),
            ..Settings::default()
        },
        fault: Some(Fault::Hang(3)),
        ..Wanted::default()
    }
    .start();
    let mut open = served.connect();
    open.write_all(&body(false, 100)).unwrap();
    wait_for(&served, "ossmark_requests_open", 1.0);
    served.stop();
    let begin = Instant::now();
    assert!(!served.ended());
    assert!(begin.elapsed() < LONG);
}
