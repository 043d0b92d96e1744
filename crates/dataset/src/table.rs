//! A parquet file opened for reading column by column. Owns: what kind of file it is, the column list, and the boundary
//! behind which the parquet crate may panic.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Once},
};

use parquet::{
    column::reader::ColumnReaderImpl,
    data_type::DataType,
    errors::ParquetError,
    file::reader::{FileReader, SerializedFileReader},
    schema::types::ColumnDescriptor,
};

use crate::{
    Cell, Error, Result,
    levels::ListLevels,
    pages::{CheckedPages, OVER_LIMIT},
    plain,
    text::{self, TextColumn},
    tokens,
};

/// An open parquet file.
pub struct Table {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    columns: Vec<String>,
    rows: usize,
}

impl Table {
    /// Opens a file and reads its footer.
    pub fn open(path: &Path) -> Result<Self> {
        let file = check_kind(path)?;
        let reader = guard(path, || {
            SerializedFileReader::new(file).map_err(|e| corrupt(path, &e))
        })?;
        let metadata = reader.metadata().file_metadata();
        let columns = metadata
            .schema_descr()
            .root_schema()
            .get_fields()
            .iter()
            .map(|f| f.name().to_owned())
            .collect();
        let rows = usize::try_from(metadata.num_rows()).map_err(|_| {
            corrupt(
                path,
                &format!("the footer claims {} rows", metadata.num_rows()),
            )
        })?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            columns,
            rows,
        })
    }

    /// The file's path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the top-level columns, in the file's order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The number of rows that the footer claims. A column that turns out otherwise is an error when it is read.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether there is a top-level column of this name.
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|c| c == column)
    }

    /// Reads a column of lists of token ids; every row must hold at least one.
    pub fn tokens(&self, column: &str) -> Result<Vec<Arc<[u32]>>> {
        guard(&self.path, || tokens::read(self, column))
    }

    /// Reads a column of texts, numbers or booleans as text, in which rows may be null.
    pub fn text(&self, column: &str) -> Result<TextColumn> {
        guard(&self.path, || text::read(self, column))
    }

    /// Reads a column of texts, numbers or booleans as `pandas.read_parquet` does: integers with gaps become floats, unless
    /// pandas noted in the file that the column has a type with gaps of its own.
    pub fn cells(&self, column: &str) -> Result<Vec<Cell>> {
        guard(&self.path, || plain::pandas_cells(self, column))
    }

    /// Whether [`Table::text`] can read the column.
    pub fn is_text(&self, column: &str) -> bool {
        self.leaf(column)
            .is_ok_and(|(_, leaf)| plain::readable(leaf))
    }

    /// Whether pandas reads this column of integers into a type that has gaps of its own: `Int64` and its like,
    /// `int64[pyarrow]`. It is told by what pandas wrote beside the schema; nonsense there counts as absent.
    /// Source: pandas' developer documentation, "Storing pandas DataFrame objects in Apache Parquet format".
    pub(crate) fn keeps_integers(&self, column: &str) -> bool {
        let metadata = self.reader.metadata().file_metadata();
        let notes = metadata.key_value_metadata().into_iter().flatten();
        let Some(notes) = notes.filter(|pair| pair.key == "pandas").find_map(|pair| {
            serde_json::from_str::<serde_json::Value>(pair.value.as_deref()?).ok()
        }) else {
            return false;
        };
        let columns = notes["columns"].as_array().into_iter().flatten();
        let Some(note) = columns
            .into_iter()
            .find(|note| note["field_name"] == column)
        else {
            return false;
        };
        let numpy = note["numpy_type"].as_str().unwrap_or_default();
        numpy.starts_with(['I', 'U']) || numpy.ends_with("[pyarrow]")
    }

    /// The one leaf below a top-level column, and its number.
    pub(crate) fn leaf(&self, column: &str) -> Result<(usize, &ColumnDescriptor)> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let mut leaves = schema
            .columns()
            .iter()
            .enumerate()
            .filter(|(_, c)| c.path().parts().first().is_some_and(|p| p == column));
        match (leaves.next(), leaves.next()) {
            (Some((number, leaf)), None) => Ok((number, leaf)),
            (Some(_), Some(_)) => Err(self.column_type(
                column,
                "a structure of several fields".into(),
                "a plain column or list",
            )),
            (None, _) => Err(self.no_column(format!("'{column}'"))),
        }
    }

    pub(crate) fn list_levels(&self, leaf: &ColumnDescriptor) -> Option<ListLevels> {
        ListLevels::of(
            self.reader
                .metadata()
                .file_metadata()
                .schema_descr()
                .root_schema(),
            leaf,
        )
    }

    /// Readers over a leaf, one for each row group, that together yield no more than `limit` values.
    pub(crate) fn readers<T: DataType>(
        &self,
        leaf: usize,
        limit: u64,
    ) -> impl Iterator<Item = Result<ColumnReaderImpl<T>>> {
        let mut left = limit;
        (0..self.reader.num_row_groups()).map(move |group| {
            let group = self
                .reader
                .get_row_group(group)
                .map_err(|e| self.corrupt(&e))?;
            let pages = group
                .get_column_page_reader(leaf)
                .map_err(|e| self.corrupt(&e))?;
            let column = group.metadata().column(leaf);
            let pages = CheckedPages::new(pages, left);
            // The pages are what is read; a chunk that understates itself only tightens what later ones may hold.
            left = left.saturating_sub(u64::try_from(column.num_values()).unwrap_or(u64::MAX));
            Ok(ColumnReaderImpl::new(
                column.column_descr_ptr(),
                Box::new(pages),
            ))
        })
    }

    pub(crate) fn no_column(&self, wanted: String) -> Error {
        Error::NoColumn {
            path: self.path.clone(),
            wanted,
            columns: self.columns.join(", "),
        }
    }

    pub(crate) fn column_type(&self, column: &str, found: String, expected: &'static str) -> Error {
        Error::ColumnType {
            path: self.path.clone(),
            column: column.into(),
            found,
            expected,
        }
    }

    pub(crate) fn corrupt(&self, detail: &dyn std::fmt::Display) -> Error {
        corrupt(&self.path, detail)
    }

    /// A decoder's complaint, told apart from our own refusal to read more than `limit`.
    pub(crate) fn decoding(
        &self,
        column: &str,
        error: &ParquetError,
        what: &'static str,
        limit: u64,
    ) -> Error {
        match error {
            ParquetError::General(text) if text == OVER_LIMIT => Error::TooLarge {
                path: self.path.clone(),
                column: column.into(),
                what,
                limit,
            },
            other => self.corrupt(&format!("column '{column}': {other}")),
        }
    }

    pub(crate) fn check_rows(&self, column: &str, found: usize) -> Result<()> {
        if found == self.rows {
            return Ok(());
        }
        Err(self.corrupt(&format!(
            "column '{column}' has {found} rows, the footer says {}",
            self.rows
        )))
    }
}

fn corrupt(path: &Path, detail: &dyn std::fmt::Display) -> Error {
    Error::Corrupt {
        path: path.to_owned(),
        detail: detail.to_string(),
    }
}

/// The parquet crate (60.1) still indexes, unwraps and asserts on what a file says: changing any byte of a small file gives
/// dozens of panics. A data set is untrusted, so a panic in there means a corrupt file, not a bug for the user to report.
/// Nothing of ours is left half changed, because what was being built is dropped.
fn guard<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    quiet_hook();
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(outer);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let text = text
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(corrupt(path, &format!("the decoder gave up: {text}")))
    })
}

thread_local! {
    static GUARDED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Without this the default hook prints "thread panicked" above the error message, and the user reads a bug of ours. Only
/// panics of a thread that is inside [`guard`] are kept quiet; every other goes to the hook that was there before.
fn quiet_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
}

fn check_kind(path: &Path) -> Result<File> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = ossmark_files::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    let mut head = Vec::new();
    (&mut file).take(4).read_to_end(&mut head).map_err(io)?;
    if head == b"PAR1" {
        let mut tail = [0; 4];
        if bytes < 12 {
            return Err(Error::Truncated {
                path: path.to_owned(),
                bytes,
            });
        }
        file.seek(SeekFrom::End(-4))
            .and_then(|_| file.read_exact(&mut tail))
            .map_err(io)?;
        if &tail != b"PAR1" {
            return Err(Error::Truncated {
                path: path.to_owned(),
                bytes,
            });
        }
        return Ok(file);
    }
    // Protocol 2 and later begin with 0x80 and the protocol's number; pandas has written those since Python 3.
    let pickle = matches!(head[..], [0x80, 2..=5, ..])
        || path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("pkl") || e.eq_ignore_ascii_case("pickle"));
    if pickle {
        return Err(Error::Pickle {
            path: path.to_owned(),
        });
    }
    let found = match head.is_empty() {
        true => "nothing, it is empty".to_owned(),
        false => format!("\"{}\"", head.escape_ascii()),
    };
    Err(Error::NotParquet {
        path: path.to_owned(),
        found,
    })
}
