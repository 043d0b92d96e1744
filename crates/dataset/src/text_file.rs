//! Text files as publishers hand them out: plain or in gzip, with a byte order mark or without, JSON as one object a line or as
//! one list. Owns which of these a file is, told by its content, and the bounds on what unpacking may give.

use std::{
    cell::Cell,
    fmt,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::Path,
    rc::Rc,
};

use flate2::read::MultiGzDecoder;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Error, Result, python_floats::PythonFloats};

/// One record: LiveCodeBench's largest, tests and all, has some ten megabytes.
const MAX_RECORD: u64 = 1 << 30;
/// What a gzip file may unpack to; the largest file of a publisher has one and a quarter GB.
const MAX_UNPACKED: u64 = 1 << 34;
const BUFFER: usize = 1 << 20;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordPosition {
    /// In a text file, from 1, as editors count.
    Line(u64),
    /// In a list or a table, from 0, as LoadGen's samples count.
    Row(usize),
}

impl fmt::Display for RecordPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row} (counted from 0)"),
        }
    }
}

/// A text file's reader, and what it reads.
pub struct TextFile {
    reader: Box<dyn BufRead>,
    /// How many bytes may still be read before the next record begins.
    left: Rc<Cell<u64>>,
    /// Whether the bytes that are read are the file's, from its first on.
    pub is_plain: bool,
}

impl TextFile {
    /// Opens a file for reading as text. A gzip file is unpacked, a byte order mark left out.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Form`] for other encodings and other ways of packing.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let other = |found: &str| Error::Form {
            path: path.to_owned(),
            what: format!("found {found}, expected text in UTF-8, plain or in gzip"),
        };
        let file = BufReader::with_capacity(BUFFER, ossmark_files::open(path).map_err(io)?);
        let left = Rc::new(Cell::new(MAX_RECORD));
        let (head, file) = peek(file).map_err(io)?;
        let is_gzip = head.starts_with(&[0x1f, 0x8b]);
        if let Some(packed) = packed(&head).filter(|_| !is_gzip) {
            return Err(other(packed));
        }
        let unpacked: Box<dyn BufRead> = match is_gzip {
            false => Box::new(file),
            true => {
                let unpacked = BoundedDecoder(MultiGzDecoder::new(file), MAX_UNPACKED);
                Box::new(BufReader::with_capacity(BUFFER, unpacked))
            }
        };
        let (head, mut text) = peek(unpacked).map_err(io)?;
        let has_mark = head.starts_with(b"\xef\xbb\xbf");
        if has_mark {
            io::copy(&mut (&mut text).take(3), &mut io::sink()).map_err(io)?;
        }
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return Err(other("text in UTF-16 (save it as UTF-8, or use iconv)"));
        }
        Ok(Self {
            reader: Box::new(BufReader::with_capacity(
                BUFFER,
                BoundedReader(text, Rc::clone(&left)),
            )),
            left,
            is_plain: !is_gzip && !has_mark,
        })
    }

    /// The whole as a reader, for formats with records of their own.
    pub fn into_reader(self) -> impl Read {
        // Such a reader keeps its records small itself.
        self.left.set(u64::MAX);
        self.reader
    }

    /// Reads JSON records: one a line, or the items of one list. `take` gets each with its place, and where a line begins in
    /// what is read (0 for the items of a list). In the items of a list, floats that only Python's JSON has are said as
    /// [`ossmark_json::named`] says them.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Form`], and whatever `take` gives.
    pub fn records<E: From<Error>>(
        mut self,
        path: &Path,
        mut take: impl FnMut(RecordPosition, u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let (mut number, mut offset) = (0, 0);
        loop {
            let buffer = self.reader.fill_buf().map_err(io)?;
            match buffer.first() {
                Some(b'[') => return self.list(path, take),
                Some(space) if space.is_ascii_whitespace() => {
                    number += u64::from(*space == b'\n');
                    offset += 1;
                    self.reader.consume(1);
                }
                _ => break,
            }
        }
        let mut line = Vec::new();
        loop {
            line.clear();
            self.left.set(MAX_RECORD);
            let length = self.reader.read_until(b'\n', &mut line).map_err(io)?;
            if length == 0 {
                return Ok(());
            }
            number += 1;
            if !line.trim_ascii().is_empty() {
                take(RecordPosition::Line(number), offset, &line)?;
            }
            offset += length as u64;
        }
    }

    fn list<E: From<Error>>(
        self,
        path: &Path,
        take: impl FnMut(RecordPosition, u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut stopped = None;
        let text = BufReader::with_capacity(BUFFER, PythonFloats::new(self.reader));
        let mut json = serde_json::Deserializer::from_reader(text);
        let items = Items {
            take,
            left: &self.left,
            stopped: &mut stopped,
        };
        let read = json.deserialize_seq(items).and_then(|()| json.end());
        match (stopped, read) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(()),
            (None, Err(error)) => Err(Error::Form {
                path: path.to_owned(),
                what: format!("not a whole JSON list: {error}"),
            }
            .into()),
        }
    }
}

struct Items<'a, E, F> {
    take: F,
    left: &'a Cell<u64>,
    stopped: &'a mut Option<E>,
}

impl<'de, E, F: FnMut(RecordPosition, u64, &[u8]) -> Result<(), E>> Visitor<'de>
    for Items<'_, E, F>
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let mut row = 0;
        self.left.set(MAX_RECORD);
        while let Some(item) = list.next_element::<Box<RawValue>>()? {
            if let Err(error) = (self.take)(RecordPosition::Row(row), 0, item.get().as_bytes()) {
                *self.stopped = Some(error);
                return Err(serde::de::Error::custom("stopped"));
            }
            self.left.set(MAX_RECORD);
            row += 1;
        }
        Ok(())
    }
}

/// What a file is that begins so, if it is packed in some way.
pub(crate) fn packed(head: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 6] = [
        (b"\x1f\x8b", "a gzip file (unpack it with gunzip)"),
        (b"\x28\xb5\x2f\xfd", "a zstd file (unpack it with zstd -d)"),
        (b"PK\x03\x04", "a zip file (unpack it with unzip)"),
        (b"BZh", "a bzip2 file (unpack it with bunzip2)"),
        (b"\xfd7zX", "an xz file (unpack it with unxz)"),
        (b"PAR1", "a parquet file"),
    ];
    let found = known.into_iter().find(|(begin, _)| head.starts_with(begin));
    found.map(|(_, name)| name)
}

/// The first bytes, four where there are as many, and a reader that begins with them.
fn peek<R: BufRead>(mut reader: R) -> io::Result<(Vec<u8>, impl BufRead)> {
    let mut head = Vec::new();
    (&mut reader).take(4).read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(reader)))
}

/// An unpacker that gives up in time.
struct BoundedDecoder<R>(R, u64);

impl<R: Read> Read for BoundedDecoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(into)?;
        let too_much = || io::Error::other(format!("unpacks to more than {MAX_UNPACKED} bytes"));
        self.1 = self.1.checked_sub(read as u64).ok_or_else(too_much)?;
        Ok(read)
    }
}

/// A reader that gives up on a record without end. What is read ahead counts for the record that is read.
struct BoundedReader<R>(R, Rc<Cell<u64>>);

impl<R: Read> Read for BoundedReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(into)?;
        let too_much = || io::Error::other(format!("has a record of more than {MAX_RECORD} bytes"));
        let left = self.1.get().checked_sub(read as u64).ok_or_else(too_much)?;
        self.1.set(left);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const ROWS: [&str; 3] = [r#"{"a": 1}"#, r#"{"a": "x\n]"}"#, r#"{"a": [[]]}"#];

    fn read(bytes: &[u8]) -> Result<Vec<(RecordPosition, String)>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut found = Vec::new();
        TextFile::open(file.path())?.records(file.path(), |place, _, record| {
            let text = String::from_utf8(record.trim_ascii().to_vec()).unwrap();
            found.push((place, text));
            Ok::<_, Error>(())
        })?;
        Ok(found)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn every_form_gives_the_same_records() {
        let lines = |from: u64| {
            let places = (from..).map(RecordPosition::Line);
            places.zip(ROWS.map(str::to_owned)).collect::<Vec<_>>()
        };
        let items: Vec<_> = (0..)
            .map(RecordPosition::Row)
            .zip(ROWS.map(str::to_owned))
            .collect();
        let jsonl = ROWS.join("\n");
        let list = format!("[{}]", ROWS.join(",\n"));
        for (text, expected) in [
            (jsonl.clone(), lines(1)),
            (format!("{jsonl}\n"), lines(1)),
            (ROWS.join("\r\n"), lines(1)),
            (format!("\n \n{jsonl}"), lines(3)),
            (list.clone(), items.clone()),
            (format!(" \n{list}\n"), items),
            (String::new(), Vec::new()),
            ("[]".into(), Vec::new()),
        ] {
            let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
            let halves = [
                gzip(&text.as_bytes()[..text.len() / 2]),
                gzip(&text.as_bytes()[text.len() / 2..]),
            ];
            for bytes in [
                text.as_bytes(),
                &marked,
                &gzip(text.as_bytes()),
                &gzip(&marked),
                &halves.concat(),
            ] {
                assert_eq!(read(bytes).unwrap(), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_no_text_is_named() {
        for (bytes, part) in [
            (&b"\xff\xfe{\0"[..], "UTF-16"),
            (b"\xfe\xff\0{", "UTF-16"),
            (b"\x28\xb5\x2f\xfd....", "a zstd file"),
            (b"PK\x03\x04....", "a zip file"),
            (b"BZh9", "a bzip2 file"),
            (b"\xfd7zXZ\0", "an xz file"),
            (b"PAR1", "a parquet file"),
            (b"[{}", "not a whole JSON list"),
            (b"[{},]", "not a whole JSON list"),
            (b"[{}] []", "not a whole JSON list"),
            (&gzip(b"{}")[..15], "cannot be read"),
        ] {
            let error = read(bytes).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    /// A bomb is given up: nothing of its size is ever in memory, or read to its end.
    #[test]
    fn what_unpacks_without_end_is_given_up() {
        let mut unpacked = BoundedDecoder(io::repeat(b'x'), 1000);
        let error = io::copy(&mut unpacked, &mut io::sink()).unwrap_err();
        assert!(
            error.to_string().contains("unpacks to more than"),
            "{error}"
        );
        let left = Rc::new(Cell::new(1000));
        let mut record = Vec::new();
        let error = BufReader::with_capacity(10, BoundedReader(io::repeat(b'x'), left))
            .read_until(b'\n', &mut record)
            .unwrap_err();
        assert!(
            error.to_string().contains("a record of more than"),
            "{error}"
        );
        assert!(record.len() <= 1000);
    }
}
