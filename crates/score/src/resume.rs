//! Verdicts of programs kept while the others still run, so that a scorer that is killed goes on where it was.
//!
//! A file of JSON lines: first what the verdicts depend on, then one verdict a line as it comes. A verdict is found again by
//! its question and its code, not by its place: the same program may stand in several logs.

use std::{
    collections::HashMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// A program's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedVerdict {
    key: String,
    pub(crate) passed: bool,
    pub(crate) reason: String,
}

impl SavedVerdict {
    pub(crate) fn new(question_id: &str, code: &str, passed: bool, reason: &str) -> Self {
        Self {
            key: key(question_id, code),
            passed,
            reason: reason.to_owned(),
        }
    }
}

/// The file, and the verdicts that it held when it was opened.
pub(crate) struct Partial {
    path: PathBuf,
    file: File,
    /// One program may be there several times: each of its runs counts once.
    kept: HashMap<String, Vec<SavedVerdict>>,
}

const MAGIC: &str = "ossmark score: verdicts so far";

impl Partial {
    /// Opens or begins the file. `settings` is all that verdicts depend on.
    #[allow(
        clippy::disallowed_methods,
        reason = "grows; who has it has claimed the details file"
    )]
    pub(crate) fn open(path: &Path, settings: &Value) -> Result<Self> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let header = json!({ "file": MAGIC, "settings": settings });
        let mut file = ossmark_files::open_to_append(path).map_err(io)?;
        let text = ossmark_files::read_to_string(path).map_err(io)?;
        // Whatever follows the last line end was cut off by the end of the process that wrote it.
        let whole = &text[..text.rfind('\n').map_or(0, |n| n + 1)];
        let mut kept: HashMap<String, Vec<SavedVerdict>> = HashMap::new();
        let mut lines = whole.lines();
        match lines.next() {
            None => {
                file.set_len(0).map_err(io)?;
                writeln!(file, "{header}").map_err(io)?;
            }
            Some(first) => {
                let found: Value = serde_json::from_str(first).unwrap_or_default();
                if found != header {
                    return Err(Error::Partial {
                        path: path.to_owned(),
                        found: first.chars().take(300).collect(),
                        expected: header.to_string(),
                    });
                }
                for line in lines.filter_map(|line| serde_json::from_str::<SavedVerdict>(line).ok())
                {
                    kept.entry(line.key.clone()).or_default().push(line);
                }
                file.set_len(whole.len() as u64).map_err(io)?;
            }
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            kept,
        })
    }

    /// An earlier verdict of this program, each once.
    pub(crate) fn take(&mut self, question_id: &str, code: &str) -> Option<SavedVerdict> {
        self.kept.get_mut(&key(question_id, code))?.pop()
    }

    /// Keeps a verdict; it is in the file when this returns.
    pub(crate) fn keep(&mut self, verdict: &SavedVerdict) -> Result<()> {
        let mut line = serde_json::to_string(verdict).expect("plain texts and a boolean");
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(|source| Error::Io {
                path: self.path.clone(),
                source,
            })
    }
}

fn key(question_id: &str, code: &str) -> String {
    let mut hash = Sha256::new();
    hash.update((question_id.len() as u64).to_le_bytes());
    hash.update(question_id);
    hash.update(code);
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_found_again_each_once_and_a_torn_line_is_dropped() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("details.jsonl.partial");
        let settings = json!({ "timeout_s": 60 });
        let mut partial = Partial::open(&path, &settings).unwrap();
        assert_eq!(partial.take("a", "x"), None);
        for passed in [true, false] {
            partial
                .keep(&SavedVerdict::new("a", "x", passed, "r"))
                .unwrap();
        }
        drop(partial);
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"key\":\"torn");
        std::fs::write(&path, text).unwrap();

        let mut again = Partial::open(&path, &settings).unwrap();
        assert_eq!(
            again.take("ax", ""),
            None,
            "ids and code do not run together"
        );
        let mut found = [
            again.take("a", "x").unwrap().passed,
            again.take("a", "x").unwrap().passed,
        ];
        found.sort_unstable();
        assert_eq!(found, [false, true]);
        assert_eq!(again.take("a", "x"), None);
        again.keep(&SavedVerdict::new("b", "y", true, "r")).unwrap();
        drop(again);
        let lines = std::fs::read_to_string(&path).unwrap();
        assert_eq!(lines.lines().count(), 4);
        assert!(!lines.contains("torn"));

        let other = Partial::open(&path, &json!({ "timeout_s": 6 }))
            .err()
            .unwrap()
            .to_string();
        assert!(
            other.contains("timeout_s\":60") && other.contains("timeout_s\":6"),
            "{other}"
        );
    }
}
