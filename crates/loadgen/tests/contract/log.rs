//! The detail log as the tests look at it: every line, without the library's own reader.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    pub(crate) key: String,
    pub(crate) value: Value,
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    is_error: bool,
    is_warning: bool,
    file: String,
}

impl Line {
    pub(crate) fn file(&self) -> &str {
        &self.metadata.file
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) lines: Vec<Line>,
}

impl Log {
    pub(crate) fn read(path: &Path) -> Log {
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().filter_map(|line| {
            let json = line.strip_prefix(":::MLLOG ").unwrap();
            // A float may be no JSON (inf); no test looks at one that is.
            serde_json::from_str(json).ok()
        });
        Log {
            lines: lines.collect(),
        }
    }

    fn messages(&self, of: impl Fn(&Metadata) -> bool) -> Vec<String> {
        let lines = self.lines.iter().filter(|line| of(&line.metadata));
        lines
            .map(|line| {
                line.value
                    .as_str()
                    .map_or_else(|| line.value.to_string(), str::to_owned)
            })
            .collect()
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.messages(|metadata| metadata.is_error)
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.messages(|metadata| metadata.is_warning)
    }

    pub(crate) fn values(&self, key: &str) -> Vec<&Value> {
        let lines = self.lines.iter().filter(|line| line.key == key);
        lines.map(|line| &line.value).collect()
    }

    pub(crate) fn last(&self, key: &str) -> Option<&Value> {
        self.values(key).pop()
    }

    pub(crate) fn str(&self, key: &str) -> Option<&str> {
        self.last(key)?.as_str()
    }

    pub(crate) fn u64(&self, key: &str) -> Option<u64> {
        self.last(key)?.as_u64()
    }

    pub(crate) fn f64(&self, key: &str) -> Option<f64> {
        self.last(key)?.as_f64()
    }

    pub(crate) fn bool(&self, key: &str) -> Option<bool> {
        self.last(key)?.as_bool()
    }

    /// Keys with a prefix, the prefix cut off; of several values the last.
    pub(crate) fn with_prefix(&self, prefix: &str) -> BTreeMap<String, Value> {
        let pairs = self.lines.iter().filter_map(|line| {
            Some((
                line.key.strip_prefix(prefix)?.to_owned(),
                line.value.clone(),
            ))
        });
        pairs.collect()
    }

    /// Whether the test ran to its end: as many measurements as loaded sets, and, where one is made, a result.
    pub(crate) fn is_complete(&self) -> bool {
        if self.str("effective_test_mode") != Some("AccuracyOnly") {
            return self.last("num_errors").is_some();
        }
        let sets = self.values("loaded_qsl_set").len();
        sets > 0 && self.values("power_end").len() == sets
    }
}

/// What the summary for people says: the result, and the number of errors.
pub(crate) fn summary(path: &Path) -> (Option<String>, Option<u64>) {
    let text = std::fs::read_to_string(path).unwrap();
    let result = text
        .lines()
        .find_map(|line| Some(line.trim().strip_prefix("Result is : ")?.to_owned()));
    let errors = text.lines().find_map(|line| {
        if line.contains("No errors encountered") {
            return Some(0);
        }
        let (count, rest) = line.trim().split_once(' ')?;
        rest.starts_with("ERROR").then(|| count.parse().ok())?
    });
    (result, errors)
}
