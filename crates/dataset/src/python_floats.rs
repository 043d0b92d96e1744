//! A long JSON text of Python's as a stream that serde_json reads: `NaN`, `Infinity` and `-Infinity` are said otherwise, as
//! [`ossmark_json::named`] says them. Owns finding them where a text has no end that fits into memory.

use std::io::{self, BufRead, Read};

/// The longest of the names.
const LONGEST: usize = "-Infinity".len();

pub(crate) struct PythonFloats<R> {
    from: R,
    /// What stands there, ready to be read.
    ready: Vec<u8>,
    read: usize,
    /// Letters and a sign outside of texts that may become a name.
    word: Vec<u8>,
    in_text: bool,
    after_backslash: bool,
}

impl<R: BufRead> PythonFloats<R> {
    pub(crate) fn new(from: R) -> Self {
        Self {
            from,
            ready: Vec::new(),
            read: 0,
            word: Vec::new(),
            in_text: false,
            after_backslash: false,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.read = 0;
        let bytes = self.from.fill_buf()?;
        let count = bytes.len();
        for &byte in bytes {
            if self.in_text {
                self.ready.push(byte);
                self.in_text = self.after_backslash || byte != b'"';
                self.after_backslash = !self.after_backslash && byte == b'\\';
                continue;
            }
            let goes_on = byte.is_ascii_alphabetic() || byte == b'-';
            if goes_on && self.word.len() < LONGEST {
                self.word.push(byte);
                continue;
            }
            // A longer word is no name, whatever it ends with.
            flush(&mut self.word, &mut self.ready, !goes_on);
            self.ready.push(byte);
            self.in_text = byte == b'"';
        }
        if count == 0 {
            flush(&mut self.word, &mut self.ready, true);
        }
        self.from.consume(count);
        Ok(())
    }
}

fn flush(word: &mut Vec<u8>, ready: &mut Vec<u8>, is_whole: bool) {
    match str::from_utf8(word) {
        Ok(name @ ("NaN" | "Infinity" | "-Infinity")) if is_whole => {
            ready.extend_from_slice(ossmark_json::named(name).as_bytes());
        }
        _ => ready.extend_from_slice(word),
    }
    word.clear();
}

impl<R: BufRead> Read for PythonFloats<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.read == self.ready.len() {
            self.fill()?;
            if self.ready.is_empty() && self.word.is_empty() {
                return Ok(0);
            }
        }
        let count = into.len().min(self.ready.len() - self.read);
        into[..count].copy_from_slice(&self.ready[self.read..][..count]);
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn through(text: &str, buffer: usize) -> String {
        let mut out = String::new();
        let from = BufReader::with_capacity(buffer, text.as_bytes());
        PythonFloats::new(from).read_to_string(&mut out).unwrap();
        out
    }

    #[test]
    fn names_are_found_wherever_a_piece_ends() {
        let text = r#"[{"a\"NaN": NaN, "b": [-Infinity,Infinity], "c\\": "\\\"Infinity"}, NaN]"#;
        for buffer in 1..text.len() + 1 {
            assert_eq!(through(text, buffer), ossmark_json::named(text), "{buffer}");
        }
        assert_eq!(through("NaN", 2), ossmark_json::named("NaN"));
        // No name in it, and none after it.
        for text in ["truetruetrueNaN", "null", "[-1, 2e-7]", "-"] {
            assert_eq!(through(text, 3), text);
        }
    }

    proptest! {
        /// What is JSON for Python is read as by the way that has all of the text at once.
        #[test]
        fn as_the_whole_text_would_be_read(text in r#"([,:\[\] ]|"(NaN|\\\\|\\"|-|x)*"|-?Infinity|NaN|-?[0-9]{1,3}|true|null){0,12}"#, buffer in 1..9usize) {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&ossmark_json::named(&text)).is_ok();
            let found = through(&text, buffer);
            if is_json {
                prop_assert_eq!(found, ossmark_json::named(&text));
            } else {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&found).is_err(), "{}", found);
            }
        }
    }
}
