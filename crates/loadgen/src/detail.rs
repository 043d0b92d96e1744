//! LoadGen's detail log, as far as results need it: of each key the last value, and how many errors and warnings. Lines of
//! `:::MLLOG {json}`; LoadGen writes strings unescaped and floats as C++ prints them (`inf`, `-nan`), so that a value may be
//! no JSON. Memory is bounded by the number of keys, whatever the length of the log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;

const PREFIX: &str = ":::MLLOG ";
/// Messages of errors that are kept.
const KEPT: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Detail {
    path: PathBuf,
    values: BTreeMap<String, Value>,
    pub(crate) errors: u64,
    pub(crate) warnings: u64,
    pub(crate) messages: Vec<String>,
}

#[derive(Deserialize)]
struct Line {
    key: String,
    value: Value,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    is_error: bool,
    is_warning: bool,
}

impl Detail {
    pub(crate) fn read(path: &Path) -> Result<Detail, Error> {
        let bad = |problem: String| Error::Log {
            path: path.into(),
            problem,
        };
        #[allow(
            clippy::disallowed_methods,
            reason = "a log that LoadGen has just written"
        )]
        let file = File::open(path).map_err(|e| bad(e.to_string()))?;
        let mut detail = Detail {
            path: path.into(),
            ..Detail::default()
        };
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(|e| bad(format!("line {}: {e}", number + 1)))?;
            let parsed = parse(&line);
            let Some(line) = parsed else {
                return Err(bad(format!("line {} is no log line", number + 1)));
            };
            detail.add(line);
        }
        Ok(detail)
    }

    fn add(&mut self, line: Line) {
        self.warnings += u64::from(line.metadata.is_warning);
        if line.metadata.is_error {
            self.errors += 1;
            if self.messages.len() < KEPT {
                self.messages.push(text(&line.value));
            }
            return;
        }
        // The indices of a loaded set are the one long value, and no result.
        if line.key != "loaded_qsl_set" {
            self.values.insert(line.key, line.value);
        }
    }

    fn missing(&self, key: &str, expected: &str) -> Error {
        let problem = match self.values.get(key) {
            None => format!("{key} is missing, expected {expected}"),
            Some(found) => format!("{key} is {found}, expected {expected}"),
        };
        Error::Log {
            path: self.path.clone(),
            problem,
        }
    }

    /// Whether the log has it.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// A value that `read` understands; an error that says what was found where it does not.
    pub(crate) fn get<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, Error> {
        let value = self.values.get(key).and_then(read);
        value.ok_or_else(|| self.missing(key, expected))
    }

    pub(crate) fn text(&self, key: &str) -> Result<String, Error> {
        self.get(key, "a text", |v| v.as_str().map(str::to_owned))
    }

    pub(crate) fn whole(&self, key: &str) -> Result<u64, Error> {
        self.get(key, "a whole number", Value::as_u64)
    }

    pub(crate) fn signed(&self, key: &str) -> Result<i64, Error> {
        self.get(key, "a whole number", Value::as_i64)
    }

    /// Infinity and NaN too.
    pub(crate) fn number(&self, key: &str) -> Result<f64, Error> {
        self.get(key, "a number", |value| match value {
            Value::String(text) => text.parse().ok(),
            value => value.as_f64(),
        })
    }

    pub(crate) fn flag(&self, key: &str) -> Result<bool, Error> {
        self.get(key, "true or false", Value::as_bool)
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn parse(line: &str) -> Option<Line> {
    let json = line.strip_prefix(PREFIX)?;
    if let Ok(line) = serde_json::from_str(json) {
        return Some(line);
    }
    // The value is no JSON: it is taken as a text, whatever it is.
    const BEFORE: &str = "\"value\": ";
    let start = json.find(BEFORE)? + BEFORE.len();
    let end = json.rfind(", \"time_ms\": ").filter(|end| *end >= start)?;
    let value = &json[start..end];
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let quoted = Value::from(inner.unwrap_or(value));
    let mended = format!("{}{quoted}{}", &json[..start], &json[end..]);
    serde_json::from_str(&mended).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str, value: &str, is_error: bool) -> String {
        format!(
            ":::MLLOG {{\"key\": \"{key}\", \"value\": {value}, \"time_ms\": 1.5, \"namespace\": \"mlperf::logging\", \
             \"event_type\": \"POINT_IN_TIME\", \"metadata\": {{\"is_error\": {is_error}, \"is_warning\": false, \
             \"file\": \"loadgen/results.cc\", \"line_no\": 1, \"pid\": 2, \"tid\": 3}}}}\n"
        )
    }

    fn read(text: &str) -> Result<Detail, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("detail.txt");
        std::fs::write(&path, text).unwrap();
        Detail::read(&path)
    }

    #[test]
    fn values_that_are_no_json_are_read() {
        let text = [
            line("a", "inf", false),
            line("b", "\"a \"quoted\" text\"", false),
            line("c", "18446744073709551615", false),
            line("c", "7", false),
            line("d", "-nan", false),
        ]
        .concat();
        let detail = read(&text).unwrap();
        assert_eq!(detail.number("a").unwrap(), f64::INFINITY);
        assert_eq!(detail.text("b").unwrap(), "a \"quoted\" text");
        assert_eq!(detail.whole("c").unwrap(), 7, "the last one");
        assert!(detail.number("d").unwrap().is_nan());
        let error = detail.flag("c").unwrap_err().to_string();
        assert!(error.contains("c is 7, expected true or false"), "{error}");
        let error = detail.flag("e").unwrap_err().to_string();
        assert!(error.contains("e is missing"), "{error}");
    }

    #[test]
    fn errors_are_counted_and_their_first_messages_kept() {
        let text = line("error_runtime", "\"bad\"", true).repeat(40);
        let detail = read(&text).unwrap();
        assert_eq!((detail.errors, detail.warnings), (40, 0));
        assert_eq!(detail.messages, vec!["bad"; KEPT]);
        assert!(!detail.has("error_runtime"));
        assert!(read("no log\n").is_err());
    }
}
