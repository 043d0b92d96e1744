//! Every way in which a data set cannot be prepared.

use std::path::PathBuf;

pub use ossmark_dataset::RecordPosition;

/// A situation in which preparing cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("{}: cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A recipe or a template file that is not as it must be.
    #[error("{}: {what}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What was found and expected.
        what: String,
    },
    /// A file of no kind that is read.
    #[error("{}: {found}, expected a .jsonl, .json, .csv, .tsv (each also with .gz) or .parquet file", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        found: String,
    },
    /// A column that every row needs.
    #[error("{}: no column {wanted}; its columns are: {columns}; name yours in the recipe", path.display())]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The names of which one would do.
        wanted: String,
        /// What there is.
        columns: String,
    },
    /// A row that cannot be used.
    #[error("{}: {place}: {what}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row.
        place: RecordPosition,
        /// What was found and expected.
        what: String,
    },
    /// A parquet file that cannot be used.
    #[error(transparent)]
    Parquet(#[from] ossmark_dataset::Error),
    /// A text that cannot be tokenised.
    #[error("{}: {place}", path.display())]
    Tokenise {
        /// The file.
        path: PathBuf,
        /// The row.
        place: RecordPosition,
        /// Why.
        source: ossmark_harmony::Error,
    },
    /// Nothing to write.
    #[error("source {number} ({kind}): no question is left{why}; expected at least one")]
    NoQuestions {
        /// Which source of the recipe, from 1.
        number: usize,
        /// Its kind.
        kind: String,
        /// What took them away.
        why: String,
    },
    /// The threads or the parquet encoder failed.
    #[error("cannot {what}: {reason}")]
    Internal {
        /// What was tried.
        what: &'static str,
        /// What was said.
        reason: String,
    },
}
