//! The answers of a log, as TEST09's script reads them: one JSON list, or failing that whatever JSON stands in its lines.
//! Streams; of an answer only its index and length are kept.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;

use crate::error::Error;

/// The longest line: an answer of 32768 tokens has 262 kB; a whole log in one line is refused beyond this.
const MAX_LINE_BYTES: u64 = 512 << 20;
/// TEST09 has 6396.
const MAX_ANSWERS: usize = 10_000_000;

/// What is known of the answers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answers {
    /// `qsl_idx`, none for what is no index.
    pub(super) indices: Vec<Option<u64>>,
    pub(super) tokens: Vec<u64>,
    /// Whether the file is one JSON list, as LoadGen writes it.
    pub(super) is_whole: bool,
}

impl Answers {
    fn add(&mut self, entry: &Value) -> Result<(), String> {
        let entry = entry.as_object().ok_or("an entry that is no object")?;
        if self.tokens.len() == MAX_ANSWERS {
            return Err(format!("more than {MAX_ANSWERS} entries"));
        }
        self.indices
            .push(entry.get("qsl_idx").and_then(Value::as_u64));
        // What cannot be decoded counts as an empty answer.
        let hex = entry
            .get("data")
            .and_then(Value::as_str)
            .unwrap_or_default();
        self.tokens.push(hex_bytes(hex).unwrap_or(0) / 4);
        Ok(())
    }
}

/// How many bytes a hexadecimal text stands for; spaces may stand between bytes.
fn hex_bytes(hex: &str) -> Option<u64> {
    let mut bytes = 0;
    let mut digits = hex.bytes();
    while let Some(first) = digits.next() {
        if first.is_ascii_whitespace() {
            continue;
        }
        let second = digits.next()?;
        if !first.is_ascii_hexdigit() || !second.is_ascii_hexdigit() {
            return None;
        }
        bytes += 1;
    }
    Some(bytes)
}

pub(super) fn read(path: &Path) -> Result<Answers, Error> {
    let open = || ossmark_files::open(path).map_err(Error::io("read", path));
    let mut whole = Answers {
        is_whole: true,
        ..Answers::default()
    };
    let mut broken = None;
    let mut parser =
        serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 20, open()?));
    let list = parser
        .deserialize_seq(Entries {
            answers: &mut whole,
            broken: &mut broken,
        })
        .and_then(|()| parser.end());
    if let Some(why) = broken {
        return Err(Error::Unusable {
            path: path.into(),
            why: format!("found {why}, expected answers"),
        });
    }
    if list.is_ok() {
        return Ok(whole);
    }
    if let Some(whole) = as_python_reads(path)? {
        return Ok(whole);
    }
    let mut answers = Answers::default();
    let mut stream = BufReader::with_capacity(1 << 20, open()?);
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut stream)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(Error::io("read", path))?;
        if line.is_empty() {
            return Ok(answers);
        }
        let text = String::from_utf8_lossy(&line);
        let text = ossmark_json::strict(text.trim());
        for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let Ok(value) = value else { break };
            answers.add(&value).map_err(|why| Error::Unusable {
                path: path.into(),
                why: format!("found {why}, expected answers"),
            })?;
        }
    }
}

/// One list with what only Python reads in it, such as `NaN`; None where it is none for Python either.
fn as_python_reads(path: &Path) -> Result<Option<Answers>, Error> {
    let mut text = String::new();
    let file = ossmark_files::open(path).map_err(Error::io("read", path))?;
    if file.take(MAX_LINE_BYTES).read_to_string(&mut text).is_err() {
        return Ok(None);
    }
    let Ok(list) = ossmark_json::loads::<Vec<Value>>(&text) else {
        return Ok(None);
    };
    let mut answers = Answers {
        is_whole: true,
        ..Answers::default()
    };
    for entry in &list {
        answers.add(entry).map_err(|why| Error::Unusable {
            path: path.into(),
            why: format!("found {why}, expected answers"),
        })?;
    }
    Ok(Some(answers))
}

struct Entries<'a> {
    answers: &'a mut Answers,
    broken: &'a mut Option<String>,
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of answers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<Value>()? {
            if self.broken.is_some() {
                // The rest decides whether the file is a list at all.
                while list.next_element::<IgnoredAny>()?.is_some() {}
                break;
            }
            *self.broken = self.answers.add(&entry).err();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_counted_as_python_reads_them() {
        assert_eq!(
            (
                hex_bytes(""),
                hex_bytes("0a FF\n01"),
                hex_bytes("0aF"),
                hex_bytes("0x10")
            ),
            (Some(0), Some(3), None, None)
        );
    }

    #[test]
    fn lists_lines_and_remains_of_lists_are_read() {
        let read = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            read(file.path())
        };
        let entry =
            |index: u64| format!("{{\"qsl_idx\": {index}, \"data\": \"0100000002000000\"}}");
        let two = |is_whole| Answers {
            indices: vec![Some(4), Some(2)],
            tokens: vec![2, 2],
            is_whole,
        };
        assert_eq!(
            read(&format!("[\n{},\n{}\n]\n", entry(4), entry(2))).unwrap(),
            two(true)
        );
        assert_eq!(
            read(&format!("{}\n{}\n", entry(4), entry(2))).unwrap(),
            two(false)
        );
        assert_eq!(
            read(&format!("{} {}", entry(4), entry(2))).unwrap(),
            two(false)
        );
        // Python reads NaN; in a list and in lines.
        let odd = entry(2).replace("{", "{\"x\": NaN, ");
        assert_eq!(
            read(&format!("[\n{},\n{odd}\n]\n", entry(4))).unwrap(),
            two(true)
        );
        assert_eq!(read(&format!("{}\n{odd}\n", entry(4))).unwrap(), two(false));
        // Cut off: the official script takes what is there.
        assert_eq!(
            read(&format!("[\n{},\n{},\n{{\"qsl", entry(4), entry(2))).unwrap(),
            two(false)
        );
        assert!(read("[1, 2]").is_err());
        assert_eq!(read("").unwrap(), Answers::default());
    }
}
