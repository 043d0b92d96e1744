//! Long texts: bounded in number and in bytes, refused when they cannot fit, given up with their client.

use std::io::Write;
use std::net::TcpStream;

use ossmark_serve::Settings;
use serde_json::{Value, json};

use crate::common::{Served, Wanted, post, read_answer, start, wait_for};

/// One text as each endpoint takes it.
fn bodies(text: &str) -> [(&'static str, Value); 5] {
    [
        ("/generate", json!({ "text": text })),
        ("/generate", json!({ "text": ["a", text] })),
        ("/v1/completions", json!({ "prompt": text })),
        ("/v1/completions", json!({ "prompt": ["a", text] })),
        (
            "/v1/chat/completions",
            json!({ "messages": [{ "role": "user", "content": text }] }),
        ),
    ]
}

#[test]
fn a_text_that_cannot_fit_is_refused_by_its_bytes() {
    let served = start();
    let mut refused = 0.0;
    for text in [
        "a".repeat(5_000_000),
        "1 + 2 ".repeat(20_000),
        "\u{6f22}".repeat(30_000),
    ] {
        for (path, body) in bodies(&text) {
            let answer = served.post(path, &body);
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            assert!(
                answer.text().contains("at least"),
                "{path}: {}",
                answer.text()
            );
            refused += 1.0;
            assert_eq!(served.metric("ossmark_texts_refused_total"), refused);
        }
    }
    // By its tokens, where its bytes leave room for doubt.
    for (path, body) in bodies(&"1 + 2 ".repeat(150)) {
        let answer = served.post(path, &body);
        assert_eq!(answer.status, 400);
        assert!(
            answer.text().contains("more than 511 tokens"),
            "{path}: {}",
            answer.text()
        );
    }
    let turns = vec![json!({ "role": "user", "content": "" }); 600];
    let many = served.post("/v1/chat/completions", &json!({ "messages": turns }));
    assert!(
        many.text().contains("at least 601 tokens"),
        "{}",
        many.text()
    );
    assert_eq!(served.metric("ossmark_texts_tokenised_total"), 0.0);
    served.works();
    served.at_rest(0);
}

/// A server to whose context all texts of these tests fit.
fn roomy(settings: Settings) -> Served {
    Wanted {
        settings,
        max_context: u32::MAX,
        ..Wanted::default()
    }
    .start()
}

fn open(served: &Served, path: &str, body: &Value) -> TcpStream {
    let mut stream = served.connect();
    stream
        .write_all(&post(path, body.to_string().as_bytes()))
        .unwrap();
    stream
}

#[test]
fn texts_wait_for_a_place_count_as_requests_and_are_given_up_with_their_client() {
    let served = roomy(Settings {
        max_tokenizations: 1,
        max_concurrency: 5,
        ..Settings::default()
    });
    // Takes many seconds to tokenise, message by message.
    let message = json!({ "role": "user", "content": "1 + 2 ".repeat(1000) });
    let long = json!({ "messages": vec![message; 2000] });
    let mut clients = vec![open(&served, "/v1/chat/completions", &long)];
    wait_for(&served, "ossmark_texts_tokenising", 1.0);
    let others = bodies(&"1 + 2 ".repeat(20_000));
    for (path, body) in &others {
        // A batch would take two of the five places.
        if !body["text"].is_array() && !body["prompt"].is_array() {
            clients.push(open(&served, path, body));
        }
    }
    clients.push(open(&served, others[0].0, &others[0].1));
    assert_eq!(clients.len(), 5);
    wait_for(&served, "ossmark_texts_waiting", 4.0);
    assert_eq!(served.metric("ossmark_texts_tokenising"), 1.0);
    assert_eq!(served.metric("ossmark_requests_open"), 5.0);
    assert_eq!(
        served
            .post("/generate", &json!({ "input_ids": [1] }))
            .status,
        429
    );
    drop(clients);
    for name in [
        "ossmark_texts_waiting",
        "ossmark_texts_tokenising",
        "ossmark_requests_open",
        "ossmark_body_bytes",
    ] {
        wait_for(&served, name, 0.0);
    }
    // Neither those that waited nor the one that had begun.
    assert_eq!(served.metric("ossmark_texts_tokenised_total"), 0.0);
    served.works();
    served.at_rest(0);
}

#[test]
fn a_batch_that_is_too_large_is_refused_before_its_texts_are_tokenised() {
    let served = roomy(Settings {
        max_concurrency: 100,
        ..Settings::default()
    });
    let texts = vec!["1 + 2 ".repeat(1000); 101];
    for (path, body) in [
        ("/generate", json!({ "text": texts })),
        ("/v1/completions", json!({ "prompt": texts })),
        ("/v1/completions", json!({ "prompt": texts[..51], "n": 2 })),
        (
            "/v1/chat/completions",
            json!({ "messages": [{ "role": "user", "content": texts[0].repeat(20) }], "n": 101 }),
        ),
    ] {
        assert_eq!(served.post(path, &body).status, 429, "{path}");
    }
    assert_eq!(served.metric("ossmark_texts_tokenised_total"), 0.0);
    served.works();
    served.at_rest(0);
}

#[test]
fn bodies_wait_until_there_is_room_for_them() {
    let served = roomy(Settings {
        max_body_bytes: 1 << 20,
        max_total_body_bytes: 1 << 20,
        ..Settings::default()
    });
    let mut body = r#"{"input_ids":[1,2,3],"sampling_params":{"max_new_tokens":5}}"#.to_owned();
    body += &" ".repeat(600_000 - body.len());
    let whole = post("/generate", body.as_bytes());
    let mut first = served.connect();
    first.write_all(&whole[..300_000]).unwrap();
    wait_for(&served, "ossmark_body_bytes", 586.0 * 1024.0);
    let mut second = served.connect();
    second.write_all(&whole[..100_000]).unwrap();
    let chunked = format!(
        "POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let mut third = served.connect();
    third.write_all(&chunked.as_bytes()[..100_000]).unwrap();
    wait_for(&served, "ossmark_bodies_waiting", 2.0);
    // Small ones pass by.
    served.works();
    assert_eq!(served.metric("ossmark_body_bytes"), 586.0 * 1024.0);
    first.write_all(&whole[300_000..]).unwrap();
    assert_eq!(read_answer(&mut first).status, 200);
    second.write_all(&whole[100_000..]).unwrap();
    assert_eq!(read_answer(&mut second).status, 200);
    third.write_all(&chunked.as_bytes()[100_000..]).unwrap();
    assert_eq!(read_answer(&mut third).status, 200);
    wait_for(&served, "ossmark_body_bytes", 0.0);
    served.at_rest(0);
}
