//! The records of a problem file, each to be read again by its place. Of a file of lines the file itself is kept open; of any
//! other form a temporary file with the records one after the other, so that no more than one is ever in memory.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use ossmark_dataset::{RecordPosition, Tables, TextFile};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// What a problem is made of; see `problems`.
const FIELDS: [&str; 6] = [
    "platform",
    "difficulty",
    "question_id",
    "public_test_cases",
    "private_test_cases",
    "metadata",
];

#[derive(Debug)]
pub(super) struct Records(File);

impl Records {
    /// Opens a file; `each` gets every record, its place, and the offset by which it is read again.
    pub(super) fn open(
        path: &Path,
        mut each: impl FnMut(RecordPosition, u64, &[u8]) -> Result<()>,
    ) -> Result<Self> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let file = ossmark_files::open(path).map_err(io)?;
        let mut head = [0; 4];
        if file.read_exact_at(&mut head, 0).is_ok() && &head == b"PAR1" {
            return Self::of_table(&Tables::open(path)?, io, each);
        }
        let text = TextFile::open(path)?;
        let mut spool = Spool::new().map_err(io)?;
        let is_plain = text.is_plain;
        let mut is_lines = true;
        text.records(path, |place, at, record| {
            is_lines &= matches!(place, RecordPosition::Line(_));
            let offset = match is_plain && is_lines {
                true => at,
                false => spool.append(record).map_err(io)?,
            };
            each(place, offset, record)
        })?;
        match is_plain && is_lines {
            true => Ok(Self(file)),
            false => spool.done().map(Self).map_err(io),
        }
    }

    fn of_table(
        table: &Tables,
        io: impl Fn(io::Error) -> Error,
        mut each: impl FnMut(RecordPosition, u64, &[u8]) -> Result<()>,
    ) -> Result<Self> {
        let mut spool = Spool::new().map_err(&io)?;
        let columns = FIELDS.map(|name| table.text(name));
        let mut columns: Vec<_> = columns
            .into_iter()
            .map(|column| column.map(Vec::into_iter))
            .collect::<std::result::Result<_, _>>()?;
        for row in 0..table.rows() {
            let mut record = Map::new();
            for (name, column) in FIELDS.iter().zip(&mut columns) {
                if let Some(text) = column.next().flatten() {
                    record.insert((*name).into(), Value::String(text));
                }
            }
            let record = Value::Object(record).to_string();
            let offset = spool.append(record.as_bytes()).map_err(&io)?;
            each(RecordPosition::Row(row), offset, record.as_bytes())?;
        }
        spool.done().map(Self).map_err(&io)
    }

    pub(super) fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut record = vec![0; length];
        self.0.read_exact_at(&mut record, offset)?;
        Ok(record)
    }
}

/// The temporary file; nobody else sees it, and it is gone with the process.
struct Spool {
    file: BufWriter<File>,
    length: u64,
}

impl Spool {
    fn new() -> io::Result<Self> {
        let file = tempfile::tempfile().map_err(|e| {
            let place = std::env::temp_dir();
            io::Error::new(
                e.kind(),
                format!("a temporary file in {}: {e}", place.display()),
            )
        })?;
        Ok(Self {
            file: BufWriter::new(file),
            length: 0,
        })
    }

    fn append(&mut self, record: &[u8]) -> io::Result<u64> {
        let offset = self.length;
        self.file.write_all(record)?;
        self.length += record.len() as u64;
        Ok(offset)
    }

    fn done(self) -> io::Result<File> {
        self.file.into_inner().map_err(|error| error.into_error())
    }
}
