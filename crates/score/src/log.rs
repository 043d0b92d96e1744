//! LoadGen's accuracy log, `mlperf_log_accuracy.json`: one entry after the other, whatever the file's size.
//!
//! Owns: splitting a JSON list into its entries without holding it; a log of gigabytes needs the memory of one entry. Does
//! not own: what is in an entry (`entry`).

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use crate::{Error, RawEntry, Result};

/// An entry of more than this is no answer: 2^25 tokens.
const MAX_ENTRY_BYTES: usize = 1 << 28;

/// Reads the entries of a log in order.
pub struct LogReader<R> {
    path: PathBuf,
    input: R,
    state: State,
    entry: usize,
    offset: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    /// After `[`: an entry or the end.
    First,
    /// After an entry: a comma or the end.
    After,
    /// After a comma: an entry.
    Next,
    Closed,
}

impl LogReader<BufReader<File>> {
    /// Opens a log.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let file = ossmark_files::open(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self::new(path, BufReader::with_capacity(1 << 20, file)))
    }
}

impl<R: BufRead> LogReader<R> {
    /// Reads a log from anywhere; `path` is for messages.
    pub fn new(path: &Path, input: R) -> Self {
        Self {
            path: path.to_owned(),
            input,
            state: State::Start,
            entry: 0,
            offset: 0,
        }
    }

    /// The next entry, or None at the end of a whole log.
    ///
    /// # Errors
    /// When the file is not a JSON list of objects, is cut off, or goes on after its end.
    pub fn next_raw(&mut self) -> Result<Option<RawEntry>> {
        loop {
            let Some(byte) = self.skip_space()? else {
                return match self.state {
                    State::Closed => Ok(None),
                    State::Start => Err(self.malformed("the end of the file", "a list, '['")),
                    _ => Err(self.malformed(
                        "the end of the file",
                        "more entries or ']'; the log was not written to its end",
                    )),
                };
            };
            match (self.state, byte) {
                (State::Start, b'[') => self.state = State::First,
                (State::First | State::After, b']') => self.state = State::Closed,
                (State::After, b',') => self.state = State::Next,
                (State::First | State::Next, b'{') => return self.object().map(Some),
                (state, byte) => {
                    let expected = match state {
                        State::Start => "a list of entries, '['",
                        State::First => "an entry, '{', or ']'",
                        State::After => "',' or ']'",
                        State::Next => "an entry, '{'",
                        State::Closed => "nothing after the list",
                    };
                    let found = format!("'{}'", byte.escape_ascii());
                    return Err(self.malformed(&found, expected));
                }
            }
            self.consume(1);
        }
    }

    /// The object that the input stands at: up to the brace that closes it.
    fn object(&mut self) -> Result<RawEntry> {
        let mut bytes = Vec::new();
        let mut depth = 0usize;
        let mut in_string = false;
        let mut escaped = false;
        loop {
            let chunk = self.input.fill_buf().map_err(|source| Error::Io {
                path: self.path.clone(),
                source,
            })?;
            if chunk.is_empty() {
                return Err(self.malformed(
                    "the end of the file",
                    "the end of the entry; the log was not written to its end",
                ));
            }
            let mut at = 0;
            let mut closed = false;
            while at < chunk.len() && !closed {
                if in_string {
                    if escaped {
                        escaped = false;
                        at += 1;
                        continue;
                    }
                    match memchr::memchr2(b'"', b'\\', &chunk[at..]) {
                        None => at = chunk.len(),
                        Some(n) => {
                            escaped = chunk[at + n] == b'\\';
                            in_string = escaped;
                            at += n + 1;
                        }
                    }
                    continue;
                }
                match chunk[at] {
                    b'"' => in_string = true,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        closed = depth == 0;
                    }
                    _ => {}
                }
                at += 1;
            }
            bytes.extend_from_slice(&chunk[..at]);
            self.consume(at);
            if bytes.len() > MAX_ENTRY_BYTES {
                return Err(self.malformed("an entry of more than 256 MiB", "one answer"));
            }
            if closed {
                break;
            }
        }
        self.state = State::After;
        let number = self.entry;
        self.entry += 1;
        Ok(RawEntry {
            number,
            json: bytes,
        })
    }

    fn skip_space(&mut self) -> Result<Option<u8>> {
        loop {
            let chunk = self.input.fill_buf().map_err(|source| Error::Io {
                path: self.path.clone(),
                source,
            })?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let space = chunk
                .iter()
                .take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'))
                .count();
            let byte = chunk.get(space).copied();
            self.consume(space);
            if byte.is_some() {
                return Ok(byte);
            }
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.input.consume(bytes);
        self.offset += bytes as u64;
    }

    fn malformed(&self, found: &str, expected: &'static str) -> Error {
        Error::Log {
            path: self.path.clone(),
            entry: self.entry,
            offset: self.offset,
            found: found.to_owned(),
            expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries of `text`, read through a buffer of `chunk` bytes.
    fn read(text: &str, chunk: usize) -> Result<Vec<String>> {
        let input = BufReader::with_capacity(chunk, text.as_bytes());
        let mut reader = LogReader::new(Path::new("log.json"), input);
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_raw()? {
            entries.push(String::from_utf8(entry.json).unwrap());
        }
        Ok(entries)
    }

    #[test]
    fn entries_are_split_wherever_the_buffer_ends() {
        let text = " [\n{\"a\": \"}]\\\"{\\\\\", \"b\": [1, {\"c\": {}}]} ,\r\n{}\t]\n ";
        for chunk in 1..text.len() + 1 {
            let entries = read(text, chunk).unwrap();
            assert_eq!(
                entries,
                ["{\"a\": \"}]\\\"{\\\\\", \"b\": [1, {\"c\": {}}]}", "{}"],
                "{chunk}"
            );
        }
        assert!(read("[\n\n]\n", 4).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_whole_list_of_entries_is_refused() {
        for (text, expected) in [
            ("", "the end of the file"),
            ("{}", "a list of entries"),
            ("[", "not written to its end"),
            ("[{}", "not written to its end"),
            ("[{\"a\": \"", "not written to its end"),
            ("[{},", "not written to its end"),
            ("[{},]", "an entry, '{'"),
            ("[{} {}]", "',' or ']'"),
            ("[1]", "an entry, '{', or ']'"),
            ("[{}] x", "nothing after the list"),
            ("[{}][{}]", "nothing after the list"),
            ("\u{feff}[{}]", "found '\\xef'"),
        ] {
            let error = read(text, 3).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
