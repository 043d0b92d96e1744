//! Why a record cannot be read. (Writing one has no errors: see `Writer::finish`.)

use std::io;
use std::path::{Path, PathBuf};

use ossmark_files::{Brief, Escaped};

use crate::VERSION;

/// Situations.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no record: the run was made with `--no-record`, by an older ossmark, or the directory is no run's.
    #[error(
        "{}: found no record (neither samples.parquet nor samples.journal), expected the directory of a run that was made \
         without --no-record",
        Escaped::path(dir)
    )]
    Absent {
        /// The directory.
        dir: PathBuf,
    },
    /// Reading failed, or what lies there is no regular file.
    #[error("{}: cannot be read: {}", Escaped::path(path), Escaped(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file of the record's name with something else in it.
    #[error(
        "{}: {}, expected a record of ossmark; if something else was put there, move it away",
        Escaped::path(path),
        Brief(what)
    )]
    NotRecord {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// Written by a later ossmark.
    #[error(
        "{}: found a record of version {found}, this ossmark reads version {VERSION}; use the ossmark that made it, or a later one",
        Escaped::path(path)
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version that it names.
        found: u64,
    },
    /// More than is read.
    #[error(
        "{}: found {what}, expected at most {most}; no run of ossmark writes so many",
        Escaped::path(path)
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How much of what.
        what: String,
        /// The most that is read.
        most: u64,
    },
    /// A value that no writer writes.
    #[error(
        "{}: row {row}: column '{column}' is {}, expected {expected}; the file was changed or damaged since it was written",
        Escaped::path(path),
        Brief(found)
    )]
    Value {
        /// The file.
        path: PathBuf,
        /// Which row, from 0.
        row: usize,
        /// The column.
        column: &'static str,
        /// The value.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// `samples.parquet` is damaged, or no parquet.
    #[error(transparent)]
    Parquet(#[from] ossmark_dataset::Error),
    /// `samples.parquet` cannot be written.
    #[error("{}: cannot be written: {what}", Escaped::path(path))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the writer says.
        what: String,
    },
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self + Copy + '_ {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}
