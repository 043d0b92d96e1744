//! What of a run's plan and verdict everybody may read: the same values, with file names in place of paths and without
//! addresses. Where a submitter's files lie, who they are and what their servers are called is nobody's business; which model,
//! data, settings and commit is. Pure.

use serde_json::Value;

/// In place of an address of a server.
const ADDRESS: &str = "<address>";
/// What ends a word in a sentence, or stands around one.
const AROUND: &[char] = &[
    ' ', '\t', '\n', '"', '\'', '`', ',', ';', '(', ')', '[', ']', '{', '}', '=', '<', '>',
];

/// A plan or a verdict for documentation/.
pub(super) fn public(record: &Value) -> Value {
    match record {
        Value::String(text) => sentence(text).into(),
        Value::Array(values) => values.iter().map(public).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| {
                let value = match (key.as_str(), value) {
                    ("command", Value::Array(words)) => command(words).into(),
                    ("path" | "head", Value::String(path)) => name_of(path).into(),
                    ("content", Value::String(text)) => settings(text).into(),
                    (_, value) => public(value),
                };
                (key.clone(), value)
            });
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// The words of a command line; in them every slash belongs to a path.
pub(super) fn command(words: &[Value]) -> Vec<String> {
    let words = words.iter().filter_map(Value::as_str);
    words
        .map(|word| each_word(word, |word| word.contains('/')))
        .collect()
}

/// Prose: what begins as a path does, or looks like a file's.
fn sentence(text: &str) -> String {
    each_word(text, |word| {
        let begins = ["/", "~", "./", "../"]
            .iter()
            .any(|start| word.starts_with(start));
        let slashes = word.matches('/').count();
        begins && slashes > 0 || slashes > 1 || slashes == 1 && word.contains('.')
    })
}

fn each_word(text: &str, is_path: impl Fn(&str) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(AROUND) {
        let (word, end) = match piece.char_indices().next_back() {
            Some((at, last)) if AROUND.contains(&last) => piece.split_at(at),
            _ => (piece, ""),
        };
        if word.contains("://") {
            out.push_str(ADDRESS);
        } else if is_path(word) {
            out.push_str(name_of(word));
        } else {
            out.push_str(word);
        }
        out.push_str(end);
    }
    out
}

/// The last part of a path.
fn name_of(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or_default()
}

/// The settings in a user.conf or audit.config; its comments may say anything.
fn settings(text: &str) -> String {
    let is_setting = |line: &&str| {
        line.split_once('=').is_some_and(|(key, value)| {
            let plain = |text: &str, more: &str| {
                text.trim()
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
            };
            plain(key, "_.*-") && plain(value, ".-+")
        })
    };
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .filter(is_setting)
        .map(|line| format!("{line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Everything that ossmark writes into these files and that says where somebody's files or servers are.
    #[test]
    fn nothing_says_where_files_and_servers_are() {
        let plan = json!({
            "command": ["/home/jane/bin/ossmark", "run", "--model", "/home/jane/gpt-oss-120b/", "--dataset=secret/perf.parquet",
                "--endpoint", "http://jane:secret@gpu7.internal:30000", "--api-key-file", "../secret/key.txt",
                "--power-prometheus http://gpu7.internal:9400/metrics", "--target-qps", "4.5"],
            "model": {"path": "/home/jane/gpt-oss-120b", "description": "gpt-oss, 36 layers, 61 GB of weights"},
            "dataset": {"path": "secret/perf.parquet", "rows": 6396},
            "speculation": {"head": "secret/head"},
            "loadgen": {"source": "directory /home/jane/loadgen"},
            "remote": {"servers": [{"endpoint": "http://gpu7.internal:30000", "model": "/home/jane/gpt-oss-120b"}],
                "not_seen_from_here": ["gateways: http://gpu7.internal:1, http://gpu8.internal:2"]},
            "user_conf": {"path": "/home/jane/user.conf", "content": "# jane's, see /home/jane/notes\n*.Server.target_qps = 4.5 # secret\nsecret\n"},
            "deviations": ["\"/home/jane/x.parquet\" is other data", "~/secret/y, secret/z.json"],
        });
        let shown = public(&plan);
        let text = shown.to_string();
        for secret in ["jane", "secret", "internal", "/home"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert_eq!(shown["model"]["path"], "gpt-oss-120b");
        assert_eq!(shown["user_conf"]["content"], "*.Server.target_qps = 4.5\n");
        assert_eq!(
            shown["command"],
            json!([
                "ossmark",
                "run",
                "--model",
                "gpt-oss-120b",
                "--dataset=perf.parquet",
                "--endpoint",
                "<address>",
                "--api-key-file",
                "key.txt",
                "--power-prometheus <address>",
                "--target-qps",
                "4.5"
            ])
        );
        assert_eq!(shown["model"]["description"], plan["model"]["description"]);
    }

    #[test]
    fn words_of_the_field_stay() {
        for text in [
            "4,321 tokens/s",
            "TTFT 20/3000 ms",
            "and/or",
            "v6.1, mt19937",
            "sha256:ab12",
        ] {
            assert_eq!(sentence(text), text);
        }
    }
}
