//! Requests that name another machine: some web page's, which resolves to this one.

use ossmark_serve::{ApiKey, Settings};

use crate::common::{Served, Wanted, start};

/// Every route, and what is none.
const ROUTES: [(&str, &str); 10] = [
    ("POST", "/generate"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/models"),
    ("GET", "/health"),
    ("GET", "/metrics"),
    ("GET", "/nothing"),
    ("GET", "/generate"),
    ("OPTIONS", "/generate"),
    ("HEAD", "/health"),
];

fn status(served: &Served, line: &str, headers: &str) -> u16 {
    let body = "{\"input_ids\":[1]}";
    let request = format!(
        "{line}\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    served.raw(request.as_bytes()).status
}

#[test]
fn without_a_key_no_route_answers_to_another_name() {
    let served = start();
    for (method, path) in ROUTES {
        let line = format!("{method} {path} HTTP/1.1");
        let at_home = status(&served, &line, "Host: localhost\r\n");
        assert!(![0, 403].contains(&at_home), "{line}: {at_home}");
        for headers in [
            "Host: evil.example\r\n",
            "Host: evil.example:30000\r\n",
            "Host: localhost\r\nHost: evil.example\r\n",
            "Host:\r\n",
            "",
        ] {
            assert_eq!(status(&served, &line, headers), 403, "{line} {headers}");
        }
        let old = format!("{method} {path} HTTP/1.0");
        assert_eq!(status(&served, &old, ""), 403, "{old}");
        assert_eq!(status(&served, &old, "Host: LOCALHOST.\r\n"), at_home);
        // The target's host counts, whatever the header says, and the header whatever the target says.
        let far = format!("{method} http://evil.example{path} HTTP/1.1");
        assert_eq!(status(&served, &far, "Host: localhost\r\n"), 403, "{far}");
        let near = format!("{method} http://[::1]:1{path} HTTP/1.1");
        assert_eq!(status(&served, &near, "Host: evil.example\r\n"), 403);
        assert_eq!(status(&served, &near, "Host: 127.0.0.1:1\r\n"), at_home);
    }
    let refused = served.raw(b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\nGET");
    let text = refused.text();
    assert!(
        text.contains("'evil.example'") && text.contains("--api-key-file"),
        "{text}"
    );
    assert!(
        served.metric("ossmark_http_requests_total{endpoint=\"/metrics\",status=\"403\"}") > 3.0
    );
    served.works();
}

#[test]
fn the_name_that_the_server_was_given_is_its_own() {
    let settings = Settings {
        listen_host: "node7".into(),
        ..Settings::default()
    };
    let served = Wanted {
        settings,
        ..Wanted::default()
    }
    .start();
    let get = |host: &str| {
        status(
            &served,
            "GET /health HTTP/1.1",
            &format!("Host: {host}\r\n"),
        )
    };
    assert_eq!(
        (get("Node7:80"), get("localhost"), get("node8")),
        (200, 200, 403)
    );
}

#[test]
fn with_a_key_any_name_will_do() {
    let settings = Settings {
        api_key: Some(ApiKey::new("0123456789abcdef", "test").unwrap()),
        ..Settings::default()
    };
    let served = Wanted {
        settings,
        ..Wanted::default()
    }
    .start();
    let get = |headers: &str| status(&served, "GET /metrics HTTP/1.1", headers);
    assert_eq!(get("Host: evil.example\r\n"), 401);
    let key = "Authorization: Bearer 0123456789abcdef\r\n";
    assert_eq!(get(&format!("Host: evil.example\r\n{key}")), 200);
    assert_eq!(status(&served, "GET /health HTTP/1.0", ""), 200);
}
