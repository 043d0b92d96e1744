//! Reading `samples.parquet`, through the data sets' reader, which believes no count and no size that a file states.

use std::path::Path;
use std::str::FromStr;

use ossmark_dataset::Table;

use crate::columns::{LOST_KEY, REASON_KEY, VERSION_KEY};
use crate::error::Error;
use crate::row::{End, Row};
use crate::{MAX_ROWS, VERSION};

/// What the file holds.
pub(crate) struct Samples {
    /// In the file's order.
    pub(crate) rows: Vec<Row>,
    pub(crate) lost: u64,
    pub(crate) reason: Option<String>,
}

pub(crate) fn read(path: &Path) -> Result<Samples, Error> {
    let table = Table::open(path)?;
    let note = |key: &str| {
        let notes = table.metadata().file_metadata().key_value_metadata();
        let mut notes = notes.into_iter().flatten();
        notes.find(|note| note.key == key)?.value.clone()
    };
    let not_ours = |what: String| Error::NotRecord {
        path: path.to_owned(),
        what,
    };
    let number = |key: &str| -> Result<u64, Error> {
        let text = note(key).ok_or_else(|| not_ours(format!("found no {key} in its metadata")))?;
        text.parse()
            .map_err(|_| not_ours(format!("found {key} = {text} in its metadata")))
    };
    match number(VERSION_KEY)? {
        found if found > VERSION.into() => {
            return Err(Error::Newer {
                path: path.to_owned(),
                found,
            });
        }
        found if found < VERSION.into() => {
            return Err(not_ours(format!("found {VERSION_KEY} = {found}")));
        }
        _ => {}
    }
    if table.rows() as u64 > MAX_ROWS {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            what: format!("{} rows", table.rows()),
            most: MAX_ROWS,
        });
    }
    Ok(Samples {
        rows: Columns { table: &table }.rows()?,
        lost: number(LOST_KEY)?,
        reason: note(REASON_KEY),
    })
}

struct Columns<'a> {
    table: &'a Table,
}

impl Columns<'_> {
    /// A column at a time: all columns as text would take many times the rows' memory.
    fn rows(&self) -> Result<Vec<Row>, Error> {
        let empty = Row {
            request: 0,
            sample_index: 0,
            prompt_tokens: 0,
            output_tokens: 0,
            scheduled_ns: None,
            issued_ns: None,
            first_token_ns: None,
            completed_ns: None,
            end: End::Stop,
            engine: 0,
        };
        // As many as the column turns out to have, whatever the footer claims.
        let mut rows = Vec::new();
        for (row, cell) in self.table.text("request")?.into_iter().enumerate() {
            let request = self.value(row, "request", cell, "a number from 0 below 2^64")?;
            rows.push(Row { request, ..empty });
        }
        const U32: &str = "a number from 0 below 2^32";
        self.fill(&mut rows, "sample_index", U32, |row, n| {
            row.sample_index = n
        })?;
        self.fill(&mut rows, "prompt_tokens", U32, |row, n| {
            row.prompt_tokens = n
        })?;
        self.fill(&mut rows, "output_tokens", U32, |row, n| {
            row.output_tokens = n
        })?;
        self.times(&mut rows, "scheduled_ns", |row, ns| row.scheduled_ns = ns)?;
        self.times(&mut rows, "issued_ns", |row, ns| row.issued_ns = ns)?;
        self.times(&mut rows, "first_token_ns", |row, ns| {
            row.first_token_ns = ns
        })?;
        self.times(&mut rows, "completed_ns", |row, ns| row.completed_ns = ns)?;
        let ends = "stop, length, failed or cancelled";
        self.fill(&mut rows, "end", ends, |row, Named(end)| row.end = end)?;
        let u16 = "a number from 0 below 2^16";
        self.fill(&mut rows, "engine", u16, |row, n| row.engine = n)?;
        Ok(rows)
    }

    fn fill<T: FromStr>(
        &self,
        rows: &mut [Row],
        column: &'static str,
        expected: &'static str,
        set: impl Fn(&mut Row, T),
    ) -> Result<(), Error> {
        for (at, (row, cell)) in rows.iter_mut().zip(self.table.text(column)?).enumerate() {
            set(row, self.value(at, column, cell, expected)?);
        }
        Ok(())
    }

    fn times(
        &self,
        rows: &mut [Row],
        column: &'static str,
        set: impl Fn(&mut Row, Option<i64>),
    ) -> Result<(), Error> {
        let expected = "nanoseconds, or null";
        for (at, (row, cell)) in rows.iter_mut().zip(self.table.text(column)?).enumerate() {
            let time = match cell {
                None => None,
                cell => Some(self.value(at, column, cell, expected)?),
            };
            set(row, time);
        }
        Ok(())
    }

    fn value<T: FromStr>(
        &self,
        row: usize,
        column: &'static str,
        cell: Option<String>,
        expected: &'static str,
    ) -> Result<T, Error> {
        let found = cell.as_deref().unwrap_or("null");
        found.parse().map_err(|_| Error::Value {
            path: self.table.path().to_owned(),
            row,
            column,
            found: found.into(),
            expected,
        })
    }
}

/// An end, by its name.
struct Named(End);

impl FromStr for Named {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        End::named(name).map(Self).ok_or(())
    }
}
