//! What programs sent to this server that were tried with it (`benchmarks/real_peers.py --record`), sent again as it was.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::common::{Answer, Served, Wanted, start};

#[derive(Deserialize)]
struct Recorded {
    method: String,
    target: String,
    headers: serde_json::Map<String, Value>,
    body: Option<Value>,
}

/// Whose requests there are; a file each.
const CLIENTS: [&str; 7] = [
    "aiperf",
    "endpoints",
    "guidellm",
    "lm-eval",
    "openai",
    "smg",
    "vllm-bench",
];

fn recorded(file: &Path) -> Vec<Recorded> {
    let text = ossmark_files::read_to_string(file).unwrap();
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

impl Recorded {
    fn sent(&self, served: &Served) -> Answer {
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: localhost\r\n",
            self.method, self.target
        );
        for (name, value) in self
            .headers
            .iter()
            .filter(|(name, _)| *name != "connection")
        {
            head += &format!("{name}: {}\r\n", value.as_str().unwrap());
        }
        head += &format!(
            "Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        served.raw(&[head.as_bytes(), body.as_bytes()].concat())
    }

    fn wants(&self, field: &str) -> bool {
        let value = self.body.as_ref().and_then(|body| body.get(field));
        value.is_some_and(|value| !value.is_null() && *value != false && *value != 0)
    }
}

#[test]
fn every_request_is_answered() {
    // Prompts with functions are long, and log-probabilities are the engine's.
    let talking = Wanted {
        script: Some("<|channel|>analysis<|message|>So.<|end|><|start|>assistant<|channel|>final<|message|>Five.<|return|>".into()),
        max_context: 1 << 16,
        ..Wanted::default()
    }
    .start();
    let computing = start();
    let mut files: Vec<_> =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
    files.sort();
    let names = files
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap());
    for (name, client) in names.clone().zip(CLIENTS) {
        assert!(
            name.starts_with(client),
            "{name}: expected a file of {client}"
        );
    }
    assert_eq!(files.len(), CLIENTS.len());
    for file in &files {
        let mut posts = 0;
        for request in recorded(file) {
            let served = if request.wants("logprobs") {
                &computing
            } else {
                &talking
            };
            let answer = request.sent(served);
            let what = format!(
                "{}: {} {:?}: {}",
                file.display(),
                request.target,
                request.body,
                answer.text()
            );
            if request.method != "POST" {
                // A question that is not known here has an answer too.
                assert!(matches!(answer.status, 200 | 404), "{what}");
                continue;
            }
            posts += 1;
            assert!(answer.status == 200 && answer.whole, "{what}");
            match request.wants("stream") {
                true if request.target.contains("responses") => {
                    assert!(
                        answer.text().contains("event: response.completed"),
                        "{what}"
                    );
                }
                true => assert!(!answer.events().is_empty(), "{what}"),
                false => assert!(!answer.json().is_null(), "{what}"),
            }
        }
        assert!(posts > 0, "{}", file.display());
    }
}
