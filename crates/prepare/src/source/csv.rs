//! CSV with a header, with commas or tabs, as GPQA and AIME 1983-2024 are published: quoted fields may hold line breaks.

use std::path::Path;

use csv::{ErrorKind, Position, ReaderBuilder, StringRecord};
use ossmark_dataset::TextFile;

use super::{Field, Record, columns, row};
use crate::{Error, RecordPosition, Result};

pub(super) fn read(path: &Path, fields: &[Field<'_>], delimiter: u8) -> Result<Vec<Record>> {
    let text = TextFile::open(path)?.into_reader();
    let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(text);
    let header = reader.headers().map_err(|e| refuse(path, e, None))?;
    let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    let columns = columns(path, fields, &header)?;
    let mut records = Vec::new();
    let mut line = StringRecord::new();
    loop {
        let before = reader.position().clone();
        if !reader
            .read_record(&mut line)
            .map_err(|e| refuse(path, e, Some(&before)))?
        {
            return Ok(records);
        }
        let value = |column: &Option<usize>| column.and_then(|at| line.get(at)).map(str::to_owned);
        records.push(Record {
            place: RecordPosition::Line(line.position().unwrap_or(&before).line()),
            values: columns.iter().map(value).collect(),
        });
    }
}

fn refuse(path: &Path, error: csv::Error, before: Option<&Position>) -> Error {
    let line = error.position().or(before).map_or(1, Position::line);
    let what = match error.kind() {
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("{len} fields, expected {expected_len} as in the header")
        }
        ErrorKind::Utf8 { err, .. } => {
            format!("field {} (counted from 0) is not UTF-8", err.field())
        }
        // It says what and where, for all that is left.
        _ => format!("not csv: {error}"),
    };
    match error.into_kind() {
        ErrorKind::Io(source) => Error::Io {
            path: path.to_owned(),
            source,
        },
        _ => row(path, RecordPosition::Line(line), what),
    }
}
