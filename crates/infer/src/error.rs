//! What can go wrong with the journal and the output.

use std::io;
use std::path::PathBuf;

/// Situations.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More requests than are kept account of, or than there is memory for.
    #[error(
        "{requests} requests (rows times passes) are more than this process can keep account of, expected at most {most}; lower --pass-k"
    )]
    TooMany {
        /// Rows times passes.
        requests: usize,
        /// The most that are accepted.
        most: usize,
    },
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process holds the journal.
    #[error("{}: another process is writing to this journal; wait for it, or give another --output", path.display())]
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// The file at the journal's place is something else.
    #[error("{}: not a journal of ossmark infer; move it away, or give another --output", path.display())]
    NotJournal {
        /// The file.
        path: PathBuf,
    },
    /// The journal belongs to other settings or another data set.
    #[error(
        "{}: this journal was started with other settings: {differences}; use those again, or give another --output to start over",
        path.display()
    )]
    OtherSettings {
        /// The journal.
        path: PathBuf,
        /// Each setting that differs: found and expected.
        differences: String,
    },
    /// A record in the middle is damaged: what follows it may be lost, and that is not for a program to decide.
    #[error(
        "{}: the record at byte {at} is damaged, bytes after it: {after}; to do what follows again, keep a copy and cut \
         the file there (truncate -s {at})",
        path.display()
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where the record begins.
        at: u64,
        /// Bytes from there to the end.
        after: u64,
    },
    /// A record that is whole but says something impossible.
    #[error("{}: the record at byte {at} {what}; the journal was not written by this version of ossmark", path.display())]
    Record {
        /// The journal.
        path: PathBuf,
        /// Where the record begins.
        at: u64,
        /// What it says.
        what: String,
    },
    /// The data set cannot be read.
    #[error(transparent)]
    Dataset(#[from] ossmark_dataset::Error),
    /// The parquet file cannot be written.
    #[error("{}: cannot write parquet: {what}", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// What the writer says.
        what: String,
    },
}
