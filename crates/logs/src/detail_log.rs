//! Reads `mlperf_log_detail.txt`: lines of `:::MLLOG {json}`. Pure Rust, knows nothing of the running LoadGen, any thread.
//!
//! The log may come from anyone: it is read as a stream, every count is bounded, a cut-off last line (a killed process, a
//! full disk) is kept in mind and anything else that is not a log line is an error. LoadGen writes strings unescaped and
//! floats as the C++ stream prints them (`inf`, `-nan`); such values are read as strings.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Error;

const PREFIX: &[u8] = b":::MLLOG ";
/// The longest line lists the indices of a loaded set: 16 MiB is room for two million.
const MAX_LINE_BYTES: u64 = 16 << 20;
/// A run logs some 150 lines that are not errors, FindPeak mode that many a trial.
const MAX_ENTRIES: usize = 100_000;
/// A line is an object that holds another one; a short line that begins many more would take memory by the gigabyte.
const MAX_PARTS: usize = 1000;
/// A broken run logs two errors a sample; the rest is only counted.
const MESSAGES_KEPT: usize = 1000;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// LoadGen's key, for example `result_validity`.
    pub key: String,
    /// Its value; a string where LoadGen wrote no valid JSON value.
    pub value: Value,
    /// Milliseconds since the test began.
    pub time_ms: f64,
    /// Whether LoadGen calls it an error.
    pub is_error: bool,
    /// Whether LoadGen calls it a warning.
    pub is_warning: bool,
    /// LoadGen's source file.
    pub file: String,
    /// Line in it.
    pub line: u64,
    /// The process that wrote the line; 0 where none is logged. One test is one process.
    pub pid: u64,
}

/// A whole detail log.
#[derive(Clone, Debug, Default)]
pub struct DetailLog {
    /// Every line in order, errors and warnings only as far as their messages are kept.
    pub entries: Vec<Entry>,
    /// Messages of the first 1000 errors.
    pub errors: Vec<String>,
    /// Number of errors. The only count there is in an accuracy run, and "Result is : VALID" says nothing about it.
    pub error_count: u64,
    /// Messages of the first 1000 warnings.
    pub warnings: Vec<String>,
    /// Number of warnings.
    pub warning_count: u64,
    /// Whether the last line is cut off.
    pub truncated: bool,
}

impl DetailLog {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Unreadable`], [`Error::Line`] for a line that is no log line, or more than can be a log.
    pub fn read(path: &Path) -> Result<DetailLog, Error> {
        let unreadable = |source| Error::Unreadable {
            path: path.into(),
            source,
        };
        DetailLog::parse(
            BufReader::new(ossmark_files::open(path).map_err(unreadable)?),
            path,
        )
    }

    /// Reads a stream; `path` is for messages.
    ///
    /// # Errors
    /// As [`DetailLog::read`].
    pub fn parse(mut stream: impl BufRead, path: &Path) -> Result<DetailLog, Error> {
        let mut log = DetailLog::default();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            (&mut stream)
                .take(MAX_LINE_BYTES)
                .read_until(b'\n', &mut line)
                .map_err(|source| Error::Unreadable {
                    path: path.into(),
                    source,
                })?;
            if line.is_empty() {
                break;
            }
            let bad = |problem: String| Error::Line {
                path: path.into(),
                line: number,
                problem,
            };
            if line.len() as u64 == MAX_LINE_BYTES {
                return Err(bad(format!("longer than {MAX_LINE_BYTES} bytes")));
            }
            let whole = line.pop_if(|last| *last == b'\n').is_some();
            match parse_line(&line) {
                Ok(entry) => log.add(entry).map_err(bad)?,
                Err(_) if !whole => log.truncated = true,
                Err(problem) => return Err(bad(problem)),
            }
        }
        Ok(log)
    }

    fn add(&mut self, entry: Entry) -> Result<(), String> {
        let kept = if entry.is_error {
            self.error_count += 1;
            keep(&mut self.errors, &entry)
        } else if entry.is_warning {
            self.warning_count += 1;
            keep(&mut self.warnings, &entry)
        } else {
            true
        };
        if kept {
            if self.entries.len() == MAX_ENTRIES {
                return Err(format!("more than {MAX_ENTRIES} lines that are not errors"));
            }
            self.entries.push(entry);
        }
        Ok(())
    }

    /// All values of a key, in order.
    pub fn values<'a, 'k>(
        &'a self,
        key: &'k str,
    ) -> impl DoubleEndedIterator<Item = &'a Value> + use<'a, 'k> {
        self.entries
            .iter()
            .filter(move |entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The last value of a key.
    pub fn last(&self, key: &str) -> Option<&Value> {
        self.entries
            .iter()
            .rev()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The last value of a key, if it is a string.
    pub fn str(&self, key: &str) -> Option<&str> {
        self.last(key)?.as_str()
    }

    /// The last value of a key, if it is an unsigned integer.
    pub fn u64(&self, key: &str) -> Option<u64> {
        self.last(key)?.as_u64()
    }

    /// The last value of a key, if it is a number; infinity and NaN count.
    pub fn f64(&self, key: &str) -> Option<f64> {
        match self.last(key)? {
            Value::String(text) => text.parse().ok(),
            value => value.as_f64(),
        }
    }

    /// The last value of a key, if it is a boolean.
    pub fn bool(&self, key: &str) -> Option<bool> {
        self.last(key)?.as_bool()
    }

    /// Keys with a prefix (`requested_`, `effective_`, `result_`), the prefix cut off; of several values the last.
    pub fn with_prefix(&self, prefix: &str) -> Map<String, Value> {
        let pairs = self
            .entries
            .iter()
            .filter_map(|e| Some((e.key.strip_prefix(prefix)?.to_owned(), e.value.clone())));
        pairs.collect()
    }

    /// What LoadGen made of the settings.
    ///
    /// # Errors
    /// Says which setting is missing or of the wrong type (a log cut off before the test began).
    pub fn effective(&self) -> Result<EffectiveSettings, String> {
        let mut map = self.with_prefix("effective_");
        if let Some(value) = self.last("requested_use_token_latencies") {
            map.insert("use_token_latencies".into(), value.clone());
        }
        serde_json::from_value(Value::Object(map))
            .map_err(|e| format!("effective settings in the detail log: {e}"))
    }

    /// Whether the test ran to its end: a performance run has written its result, an accuracy run has finished sets that
    /// make up all the samples it was to issue.
    pub fn is_complete(&self) -> bool {
        if self.truncated {
            return false;
        }
        if self.str("effective_test_mode") != Some("AccuracyOnly") {
            // The last line of a result.
            return self.last("num_errors").is_some();
        }
        let asked = self
            .u64("effective_accuracy_sample_count")
            .zip(self.u64("qsl_reported_total_count"));
        let loaded: usize = self
            .values("loaded_qsl_set")
            .filter_map(Value::as_array)
            .map(Vec::len)
            .sum();
        let sets = self.values("loaded_qsl_set").count();
        asked.is_some_and(|(asked, total)| loaded as u64 == asked.min(total))
            && self.values("power_end").count() == sets
    }
}

/// The settings that a test ran with, as LoadGen logs them (`effective_*`). Latencies in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "LoadGen's own names; see its test_settings.h")]
pub struct EffectiveSettings {
    pub scenario: String,
    pub test_mode: String,
    /// In Offline the number before padding to whole permutations; `generated_samples_per_query` is what was issued.
    pub samples_per_query: u64,
    pub target_qps: f64,
    pub target_latency_ns: i64,
    pub target_latency_percentile: f64,
    pub max_async_queries: u64,
    pub target_duration_ms: u64,
    pub min_duration_ms: u64,
    pub max_duration_ms: u64,
    pub min_query_count: u64,
    pub max_query_count: u64,
    pub min_sample_count: u64,
    pub qsl_rng_seed: u64,
    pub sample_index_rng_seed: u64,
    pub schedule_rng_seed: u64,
    pub accuracy_log_rng_seed: u64,
    pub accuracy_log_probability: f64,
    pub accuracy_log_sampling_target: u64,
    pub print_timestamps: bool,
    pub performance_issue_unique: bool,
    pub performance_issue_same: bool,
    pub performance_issue_same_index: u64,
    pub performance_sample_count: u64,
    pub accuracy_sample_count: u64,
    pub sample_concatenate_permutation: bool,
    /// Logged as requested only: the logger takes it before audit.config.
    pub use_token_latencies: bool,
}

#[derive(Deserialize)]
struct RawEntry {
    key: String,
    value: Value,
    time_ms: f64,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    is_error: bool,
    is_warning: bool,
    #[serde(default)]
    file: String,
    #[serde(default)]
    line_no: u64,
    #[serde(default)]
    pid: u64,
}

fn parse_line(line: &[u8]) -> Result<Entry, String> {
    let shown = || String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
    let json = line.strip_prefix(PREFIX).ok_or_else(|| {
        format!(
            "found {:?}, expected a line that begins with \":::MLLOG \"",
            shown()
        )
    })?;
    let parts = json.iter().filter(|b| matches!(b, b'[' | b'{')).count();
    if parts > MAX_PARTS {
        return Err(format!(
            "{parts} lists and objects, which no LoadGen line has"
        ));
    }
    let json = str::from_utf8(json).map_err(|e| format!("not UTF-8: {e}"))?;
    let raw: RawEntry = match serde_json::from_str(json) {
        Ok(raw) => raw,
        Err(e) => repair(json)
            .and_then(|json| serde_json::from_str(&json).ok())
            .ok_or_else(|| format!("{e} in {:?}", shown()))?,
    };
    let Metadata {
        is_error,
        is_warning,
        file,
        line_no,
        pid,
    } = raw.metadata;
    Ok(Entry {
        key: raw.key,
        value: raw.value,
        time_ms: raw.time_ms,
        is_error,
        is_warning,
        file,
        line: line_no,
        pid,
    })
}

/// The line with its value made a proper JSON string, whatever it was.
fn repair(json: &str) -> Option<String> {
    const BEFORE: &str = "\"value\": ";
    let start = json.find(BEFORE)? + BEFORE.len();
    let end = json.rfind(", \"time_ms\": ").filter(|end| *end >= start)?;
    let value = &json[start..end];
    let text = value
        .strip_prefix('"')
        .and_then(|v| v.strip_suffix('"'))
        .unwrap_or(value);
    Some(format!(
        "{}{}{}",
        &json[..start],
        Value::from(text),
        &json[end..]
    ))
}

fn keep(messages: &mut Vec<String>, entry: &Entry) -> bool {
    let room = messages.len() < MESSAGES_KEPT;
    if room {
        messages.push(
            entry
                .value
                .as_str()
                .map_or_else(|| entry.value.to_string(), str::to_owned),
        );
    }
    room
}

#[cfg(test)]
mod tests;
