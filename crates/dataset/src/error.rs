//! Every way in which a data set can be unusable. Owns the wording; finds nothing itself.

use std::path::{Path, PathBuf};

use ossmark_files::{Brief, Escaped};

/// What is wrong with a data set file. Rows and positions count from 0, as LoadGen's sample indices do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{}: cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Some other kind of file.
    #[error("{}: not a parquet file: it begins with {found}, a parquet file begins with the four bytes \"PAR1\"", path.display())]
    NotParquet {
        /// The file.
        path: PathBuf,
        /// The first bytes, escaped.
        found: String,
    },
    /// A Python pickle: loading one runs whatever code it holds, so it is never loaded here.
    #[error(
        "{path}: is a Python pickle, expected parquet. Unpickling runs code from the file, so ossmark does not do it. \
         If you trust where it came from, convert it once: {convert}",
        path = path.display(),
        convert = convert(path)
    )]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// A Python pickle, without the user's word that one is meant.
    #[error(
        "{path}: is a Python pickle, which is read only with --allow-pickle: as plain data, nothing in it is run. \
         Or convert it, on a machine where you trust it: {convert}",
        path = path.display(),
        convert = convert(path)
    )]
    PickleNotAllowed {
        /// The file.
        path: PathBuf,
    },
    /// A pickle of something else than a data frame, or of a kind that is not read, or a hostile one.
    #[error(
        "{path}: not a data frame that can be read as plain data: {place}{detail}. \
         If you trust where it came from, convert it once: {convert}",
        path = path.display(),
        convert = convert(path)
    )]
    BadPickle {
        /// The file.
        path: PathBuf,
        /// "byte N: ", or nothing when the whole is meant.
        place: String,
        /// What was found.
        detail: String,
    },
    /// It begins as parquet and stops before the footer.
    #[error(
        "{}: truncated: {bytes} bytes long and without the footer that ends every parquet file; \
         copy or download it again and compare its sha256 with the publisher's", path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// Parquet on the outside, nonsense inside.
    #[error(
        "{}: corrupt parquet: {detail}; copy or download it again and compare its sha256 with the publisher's",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the reader objected to.
        detail: String,
    },
    /// Parquet that uses what this program cannot read. Nothing is wrong with the file.
    #[error(
        "{}: {what}; write the file again with usual settings, for example by pyarrow.parquet.write_table",
        Escaped::path(path)
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it uses.
        what: String,
    },
    /// A few bytes that would become very many.
    #[error(
        "{}: column '{}': {detail} bytes once decompressed; accepted are 64 MiB, or 128 times the page's bytes in the file. If the \
         file is meant to be so, write it again with smaller pages or without compression",
        Escaped::path(path),
        Brief(column)
    )]
    PageTooLarge {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The page's sizes.
        detail: String,
    },
    /// A column that was asked for is not there.
    #[error("{}: no column {wanted}; its columns are: {columns}", path.display())]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The name, or the names of which one would do.
        wanted: String,
        /// What there is.
        columns: String,
    },
    /// The column is there, but holds something else.
    #[error("{}: column '{}' is {found}, expected {expected}", path.display(), Brief(column))]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type in the file.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// No rows at all.
    #[error("{}: holds no rows, expected at least one", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// A row without a prompt.
    #[error("{}: row {row}: column '{column}' is null, expected a list of token ids; drop the row or tokenise its text", path.display())]
    NullPrompt {
        /// The file.
        path: PathBuf,
        /// The token column.
        column: String,
        /// Which row.
        row: usize,
    },
    /// A prompt with a hole.
    #[error("{}: row {row}: token {position} of column '{column}' is null, expected a token id", path.display())]
    NullToken {
        /// The file.
        path: PathBuf,
        /// The token column.
        column: String,
        /// Which row.
        row: usize,
        /// Which token of that row.
        position: usize,
    },
    /// A prompt of no tokens: no model can continue it.
    #[error("{}: row {row}: column '{column}' is an empty list, expected at least one token id; drop the row", path.display())]
    EmptyPrompt {
        /// The file.
        path: PathBuf,
        /// The token column.
        column: String,
        /// Which row.
        row: usize,
    },
    /// Not a token id of any vocabulary.
    #[error(
        "{}: row {row}: token {position} of column '{column}' is {value}, expected 0 to 2147483647 \
         (token ids are 32-bit integers in the logs)", path.display()
    )]
    BadToken {
        /// The file.
        path: PathBuf,
        /// The token column.
        column: String,
        /// Which row.
        row: usize,
        /// Which token of that row.
        position: usize,
        /// What is there.
        value: i128,
    },
    /// Bytes that are no text.
    #[error("{}: row {row}: column '{column}' is not UTF-8 text", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The text column.
        column: String,
        /// Which row.
        row: usize,
    },
    /// A value that the harness has no use for.
    #[error("{}: row {row}: column '{}' holds {}, expected {expected}", path.display(), Brief(column), Brief(found))]
    BadCell {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Which row.
        row: usize,
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// A file, folder or pattern of another form than is read there.
    #[error("{}: {what}", path.display())]
    Form {
        /// The file, folder or pattern.
        path: PathBuf,
        /// What was found and expected, and how to fix it.
        what: String,
    },
    /// Beyond what any benchmark file holds: refused before memory runs out.
    #[error("{}: column '{column}' holds more than {limit} {what}; no benchmark file comes near that, so the file is taken for corrupt", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The unit of the limit.
        what: &'static str,
        /// The most that is accepted.
        limit: u64,
    },
}

impl Error {
    pub(crate) fn unsupported(path: &Path, what: String) -> Self {
        Self::Unsupported {
            path: path.to_owned(),
            what,
        }
    }

    pub(crate) fn corrupt(path: &Path, detail: &dyn std::fmt::Display) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            detail: detail.to_string(),
        }
    }
}

/// The command that makes parquet of a pickle, by running it.
fn convert(path: &Path) -> String {
    format!(
        "python3 -c \"import pandas; pandas.read_pickle('{}').to_parquet('{}')\"",
        path.display(),
        path.with_extension("parquet").display()
    )
}
