//! Everything that a client can get wrong, by mistake or on purpose: a 4xx or a closed connection, and nothing else.

use std::io::Write;
use std::time::{Duration, Instant};

use ossmark_serve::{ApiKey, AppState, Limits, ServeError, Settings, bind};
use serde_json::json;

use crate::common::{Wanted, post, read_answer, start};

#[test]
fn bad_bodies_are_refused_with_the_reason() {
    let served = start();
    let long = format!("{{\"input_ids\":[{}1]}}", "1,".repeat(511));
    let deep = "[".repeat(100_000);
    for (body, part) in [
        (&b""[..], "EOF"),
        (b"{", "EOF"),
        (b"[]", "expected struct"),
        (b"\"x\"", "expected struct"),
        (b"{\"input_ids\":\xff}", "expected value"),
        (b"{\"text\":\"\xff\xfe\"}", "unicode"),
        (b"{\"text\":\"\\ud800\"}", "hex escape"),
        (b"{}", "no prompt"),
        (b"{\"input_ids\":[]}", "empty"),
        (b"{\"input_ids\":[[]]}", "empty"),
        (b"{\"text\":\"\"}", "empty"),
        (b"{\"input_ids\":\"1 2\"}", "holds text"),
        (b"{\"text\":[1,2]}", "holds token ids"),
        (b"{\"input_ids\":[1],\"text\":\"a\"}", "both"),
        (b"{\"input_ids\":[1],\"input_ids\":[2]}", "duplicate field"),
        (
            b"{\"input_ids\":[448]}",
            "token 448 at position 0 is outside the vocabulary of 448",
        ),
        (b"{\"input_ids\":[-1]}", "integer `-1`"),
        (b"{\"input_ids\":[1.5]}", "floating point"),
        (b"{\"input_ids\":[1,\"a\"]}", "string \"a\""),
        (b"{\"input_ids\":[1,[2]]}", "invalid type: sequence"),
        (b"{\"input_ids\":[99999999999]}", "below 2^32"),
        (b"{\"input_ids\":{\"a\":1}}", "invalid type: map"),
        (long.as_bytes(), "512 tokens, but the context of 512"),
        (deep.as_bytes(), "expected"),
        (
            b"{\"input_ids\":[1],\"sampling_params\":{\"temperature\":NaN}}",
            "expected value",
        ),
        (
            b"{\"input_ids\":[1],\"sampling_params\":{\"temperature\":1e400}}",
            "number out of range",
        ),
        (
            b"{\"input_ids\":[1],\"sampling_params\":{\"temperature\":-0.1}}",
            "temperature is -0.1",
        ),
        (
            b"{\"input_ids\":[1],\"sampling_params\":{\"temperature\":\"hot\"}}",
            "invalid type: string",
        ),
        (
            b"{\"input_ids\":[1],\"sampling_params\":{\"top_p\":1.1}}",
            "top_p is 1.1",
        ),
        (
            b"{\"input_ids\":[1],\"sampling_params\":{\"max_new_tokens\":0}}",
            "max_new_tokens is 0",
        ),
        (
            b"{\"input_ids\":[1],\"sampling_params\":{\"max_new_tokens\":-5}}",
            "integer `-5`",
        ),
        (
            b"{\"input_ids\":[1],\"sampling_params\":[{}]}",
            "invalid type",
        ),
        (
            b"{\"input_ids\":[1],\"sampling_params\":{\"stop_regex\":\"x\"}}",
            "stop_regex (\"x\") is not supported",
        ),
        (
            b"{\"input_ids\":[1],\"sampling_params\":{\"min_new_tokens\":3}}",
            "min_tokens is 3",
        ),
        (
            b"{\"input_ids\":[1],\"sampling_params\":{\"tempreature\":1}}",
            "tempreature (1) is not known",
        ),
        (
            b"{\"input_ids\":[1],\"return_logprob\":true}",
            "return_logprob",
        ),
        (
            b"{\"input_ids\":[1],\"stream\":\"yes\"}",
            "invalid type: string \"yes\", expected a boolean",
        ),
        (b"{\"input_ids\":[1]} {}", "trailing characters"),
    ] {
        let answer = served.post_bytes("/generate", body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]);
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
        let error = &answer.json()["error"];
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(part),
            "{shown}: expected {part:?} in {message}"
        );
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("invalid_request_error"), &json!(400))
        );
    }
    for (body, part) in [
        (json!({}), "missing field `prompt`"),
        (json!({ "prompt": [] }), "empty"),
        (json!({ "prompt": [1], "n": 0 }), "n is 0"),
        (json!({ "prompt": [1], "n": 129 }), "n is 129"),
        (
            json!({ "prompt": [1], "max_tokens": 0 }),
            "max_new_tokens is 0",
        ),
        (json!({ "prompt": [1], "logprobs": 21 }), "logprobs is 21"),
        (json!({ "prompt": [1], "suffix": "x" }), "suffix"),
        (json!({ "prompt": [[1], [999]] }), "token 999"),
    ] {
        let answer = served.post("/v1/completions", &body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert!(answer.text().contains(part), "{body}: {}", answer.text());
    }
    served.works();
    served.at_rest(0);
}

#[test]
fn strange_requests_are_refused() {
    let served = start();
    assert_eq!(served.get("/nothing").status, 404);
    assert_eq!(served.get("/generate").status, 405);
    let body = b"{\"input_ids\":[1]}";
    let plain = String::from_utf8(post("/generate", body))
        .unwrap()
        .replace("application/json", "text/plain");
    assert_eq!(served.raw(plain.as_bytes()).status, 415);
    let with_charset = plain.replace("text/plain", "Application/JSON; charset=utf-8");
    assert_eq!(served.raw(with_charset.as_bytes()).status, 200);
    // What is no HTTP at all gets hyper's 400 or a closed connection.
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"\x00\x00\x00\x00\r\n\r\n",
    ] {
        let status = served.raw(garbage).status;
        assert!(status == 400 || status == 0, "{status}");
    }
    let huge = format!(
        "GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "a".repeat(200_000)
    );
    assert!(matches!(served.raw(huge.as_bytes()).status, 431 | 0));
    let two_lengths =
        b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}";
    assert!(matches!(served.raw(two_lengths).status, 400 | 0));
    served.works();
    served.at_rest(0);
}

#[test]
fn long_bodies_are_cut_off_announced_or_not() {
    let served = Wanted {
        settings: Settings {
            max_body_bytes: 10_000,
            ..Settings::default()
        },
        ..Wanted::default()
    }
    .start();
    let answer = served.post_bytes("/generate", &[b' '; 10_001]);
    assert_eq!(answer.status, 413, "{}", answer.text());
    let head = "POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    let answer = served.raw([head, &chunk.repeat(4), "0\r\n\r\n"].concat().as_bytes());
    assert!(matches!(answer.status, 413 | 0), "{answer:?}");
    let announced = "POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999999999999\r\n\r\n";
    assert!(matches!(
        served.raw(announced.as_bytes()).status,
        400 | 413 | 0
    ));
    served.works();
    served.at_rest(0);
}

#[test]
fn slow_clients_are_given_up_and_the_others_served() {
    let served = Wanted {
        settings: Settings {
            read_timeout: Duration::from_millis(300),
            ..Settings::default()
        },
        ..Wanted::default()
    }
    .start();
    let begin = Instant::now();
    // Heads that never end, bodies that never come, and connections on which nothing is said.
    let mut slow: Vec<_> = (0..30).map(|_| served.connect()).collect();
    for (i, stream) in slow.iter_mut().enumerate() {
        match i % 3 {
            0 => stream.write_all(b"POST /generate HTTP/1.1\r\nHost: localhost\r\nX-A").unwrap(),
            1 => stream.write_all(b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{\"in").unwrap(),
            _ => {}
        }
    }
    served.works();
    for (i, stream) in slow.iter_mut().enumerate() {
        // One more byte now and then buys no time.
        let _ = stream.write_all(b"a");
        let status = read_answer(stream).status;
        let fine = if i % 3 == 1 {
            status == 408
        } else {
            matches!(status, 0 | 400 | 408)
        };
        assert!(fine, "{i}: {status}");
    }
    assert!(begin.elapsed() < Duration::from_secs(10));
    served.works();
    served.at_rest(0);
}

#[test]
fn a_key_is_asked_for_before_anything_is_read() {
    let served = Wanted {
        settings: Settings {
            api_key: Some(ApiKey::new("  0123456789abcdef-key\n", "test").unwrap()),
            ..Settings::default()
        },
        ..Wanted::default()
    }
    .start();
    let request = |key: &str| {
        let head = format!("POST /generate HTTP/1.1\r\nAuthorization: {key}\r\n");
        String::from_utf8(post("/generate", b"{\"input_ids\":[1]}"))
            .unwrap()
            .replacen("POST /generate HTTP/1.1\r\n", &head, 1)
    };
    for wrong in [
        "Bearer wrong",
        "Bearer ",
        "0123456789abcdef-key",
        "Basic 0123456789abcdef-key",
        "Bearer 0123456789abcdef-ke",
        "Bearer 0123456789abcdef-key1",
    ] {
        let answer = served.raw(request(wrong).as_bytes());
        assert_eq!(answer.status, 401, "{wrong}");
        assert!(
            answer
                .head
                .to_lowercase()
                .contains("www-authenticate: bearer")
        );
        assert_eq!(answer.json()["error"]["type"], "authentication_error");
    }
    assert_eq!(
        served
            .raw(request("Bearer 0123456789abcdef-key").as_bytes())
            .status,
        200
    );
    assert_eq!(
        served
            .raw(request("bearer 0123456789abcdef-key").as_bytes())
            .status,
        200
    );
    for path in ["/v1/models", "/metrics"] {
        assert_eq!(served.get(path).status, 401, "{path}");
    }
    assert_eq!(served.get("/health").status, 200);
}

#[test]
fn keys_that_protect_nothing_are_refused() {
    for key in ["", "short", "0123456789 abcdef", "0123456789äbcdefgh"] {
        assert!(
            matches!(ApiKey::new(key, "here"), Err(ServeError::WeakKey { .. })),
            "{key}"
        );
    }
    assert!(!format!("{:?}", ApiKey::new("0123456789abcdef", "x").unwrap()).contains("0123"));
}

#[test]
fn listening_to_others_takes_a_key() {
    struct Nobody;
    impl ossmark_protocol::Generator for Nobody {
        fn submit(
            &self,
            _: Vec<ossmark_protocol::Request>,
        ) -> Result<(), ossmark_protocol::Closed> {
            Err(ossmark_protocol::Closed)
        }
        fn cancel(&self, _: Vec<ossmark_protocol::RequestId>) {}
    }
    let limits = Limits {
        vocab_size: 1,
        max_context: 2,
        logits: false,
    };
    let app = |settings| AppState::new(std::sync::Arc::new(Nobody), limits, None, settings);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    let open = bind("0.0.0.0:0".parse().unwrap(), &app(Settings::default()));
    assert!(open.unwrap_err().to_string().contains("--api-key-file"));
    let keyed = Settings {
        api_key: Some(ApiKey::new("0123456789abcdef", "test").unwrap()),
        ..Settings::default()
    };
    assert!(bind("0.0.0.0:0".parse().unwrap(), &app(keyed)).is_ok());
    let taken = bind("127.0.0.1:0".parse().unwrap(), &app(Settings::default())).unwrap();
    let again = bind(taken.local_addr().unwrap(), &app(Settings::default()));
    assert!(again.unwrap_err().to_string().contains("cannot listen"));
}
