//! A parquet file opened for reading column by column. Owns: the column list, what the footer says, and the readers over a
//! leaf; `columns` reads whole columns with them.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_schema::Schema;
use ossmark_files::Brief;
use parquet::{
    basic::{ConvertedType, Repetition, Type as Physical},
    column::reader::ColumnReaderImpl,
    data_type::DataType,
    errors::ParquetError,
    file::metadata::{
        ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
        ParquetStatisticsPolicy,
    },
    schema::types::{ColumnDescriptor, Type},
};

use crate::{
    ARROW_KEY, Error, Result, arrow,
    guard::guard,
    kind::open_parquet,
    levels::{ListLevels, is_list},
    pages::{Pages, Refusal, extent},
    value_type,
};

/// An open parquet file.
pub struct Table {
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
    metadata: ParquetMetaData,
    columns: Vec<String>,
    rows: usize,
    /// Arrow's own types, or why they cannot be read; None if the writer noted none.
    arrow: Option<std::result::Result<Schema, String>>,
}

impl Table {
    /// Opens a file and reads its footer.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open_parquet(path)?;
        guard(path, || Self::of(path, file))
    }

    fn of(path: &Path, file: File) -> Result<Self> {
        // Nobody here asks for statistics, and broken ones would spoil the whole file.
        let skip = || ParquetStatisticsPolicy::SkipAll;
        let options = ParquetMetaDataOptions::new()
            .with_encoding_stats_policy(skip())
            .with_column_stats_policy(skip())
            .with_size_stats_policy(skip());
        let metadata = ParquetMetaDataReader::new()
            .with_metadata_options(Some(options))
            .parse_and_finish(&file)
            .map_err(|e| match named_unknown(&e) {
                Some(what) => Error::unsupported(path, format!("its footer names {what}")),
                None => Error::corrupt(path, &e),
            })?;
        let footer = metadata.file_metadata();
        let fields = footer.schema_descr().root_schema().get_fields();
        let columns = fields.iter().map(|f| f.name().to_owned()).collect();
        let groups = metadata.row_groups().iter().map(|group| group.num_rows());
        let sum = groups.clone().try_fold(0, i64::checked_add);
        let claimed = footer.num_rows();
        let rows = usize::try_from(claimed)
            .ok()
            .filter(|_| groups.clone().all(|rows| rows >= 0) && sum == Some(claimed))
            .ok_or_else(|| {
                let sum = sum.map_or("too many".into(), |sum| sum.to_string());
                let what = format!("the footer claims {claimed} rows, its row groups have {sum}");
                Error::corrupt(path, &what)
            })?;
        let notes = footer.key_value_metadata().into_iter().flatten();
        let note = notes
            .filter(|pair| pair.key == ARROW_KEY)
            .find_map(|pair| pair.value.as_deref());
        let arrow = note.map(arrow::decode);
        let bytes = file.metadata().map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file),
            bytes: bytes.len(),
            columns,
            rows,
            arrow,
            metadata,
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

    /// What the footer says, without statistics: for those who pass columns on as they are.
    pub fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }

    /// Where a column chunk lies in the file, from its first byte to the one after its last.
    ///
    /// # Errors
    /// It lies elsewhere, or nowhere in the file.
    pub fn extent(&self, chunk: &ColumnChunkMetaData) -> Result<(u64, u64)> {
        let column = chunk.column_path().string();
        extent(&self.file, chunk).map_err(|e| self.decoding(&column, &e, "values", 0))
    }

    /// The open file. Its position is nobody's: read at offsets.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Arrow's own types as its writer noted them, or why the note cannot be read; None if there is no note.
    pub fn arrow_schema(&self) -> Option<std::result::Result<&Schema, &str>> {
        let arrow = self.arrow.as_ref()?;
        Some(arrow.as_ref().map_err(String::as_str))
    }

    /// The number of rows that the footer claims. A column that turns out otherwise is an error when it is read.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether there is a top-level column of this name.
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|c| c == column)
    }

    /// Whether pandas reads this column of integers into a type that has gaps of its own: `Int64` and its like,
    /// `int64[pyarrow]`. It is told by what pandas wrote beside the schema; nonsense there counts as absent.
    /// Source: pandas' developer documentation, "Storing pandas DataFrame objects in Apache Parquet format".
    pub(crate) fn keeps_integers(&self, column: &str) -> bool {
        let metadata = self.metadata.file_metadata();
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

    /// A top-level column, and the number and the descriptor of its leaf where it has only one.
    fn top(&self, column: &str) -> Result<(&Type, Option<(usize, &ColumnDescriptor)>)> {
        let schema = self.metadata.file_metadata().schema_descr();
        let fields = schema.root_schema().get_fields();
        let Some(at) = fields.iter().position(|field| field.name() == column) else {
            return Err(self.no_column(format!("'{column}'")));
        };
        let mut leaves =
            (0..schema.num_columns()).filter(|leaf| schema.get_column_root_idx(*leaf) == at);
        let leaf = match (leaves.next(), leaves.next()) {
            (Some(leaf), None) => Some((leaf, &*schema.columns()[leaf])),
            _ => None,
        };
        Ok((&fields[at], leaf))
    }

    /// The leaf of a column that has one value a row.
    pub(crate) fn scalar_leaf(
        &self,
        column: &str,
        expected: &'static str,
    ) -> Result<(usize, &ColumnDescriptor)> {
        match self.top(column)? {
            (root, Some(leaf))
                if root.is_primitive()
                    && root.get_basic_info().repetition() != Repetition::REPEATED =>
            {
                Ok(leaf)
            }
            (root, _) => Err(self.column_type(column, shape(root), expected)),
        }
    }

    /// The leaf of a column that has a list of values a row, with its levels.
    pub(crate) fn list_leaf(
        &self,
        column: &str,
        expected: &'static str,
    ) -> Result<(usize, &ColumnDescriptor, ListLevels)> {
        let (root, leaf) = self.top(column)?;
        let list =
            leaf.and_then(|(number, leaf)| Some((number, leaf, ListLevels::of(root, leaf)?)));
        let of_what = if is_list(root) {
            " of something else"
        } else {
            ""
        };
        list.ok_or_else(|| self.column_type(column, shape(root) + of_what, expected))
    }

    /// The name of a type of time that arrow writes as plain integers, with a note: of the column's values, or of its lists'.
    /// For columns that parquet itself says nothing of.
    pub(crate) fn arrow_only(&self, column: &str) -> Option<String> {
        let (_, leaf) = self.top(column).ok()?;
        let (_, leaf) = leaf?;
        let physical = leaf.physical_type();
        let plain = leaf.logical_type_ref().is_none()
            && leaf.converted_type() == ConvertedType::NONE
            && matches!(physical, Physical::INT32 | Physical::INT64);
        let at = self.columns.iter().position(|name| name == column)?;
        let field = self.arrow.as_ref()?.as_ref().ok()?.fields().get(at)?;
        let name = arrow::time(field.data_type()).filter(|_| plain && field.name() == column)?;
        Some(format!("{name} ({physical}, by arrow's note)"))
    }

    /// Readers over a leaf, one for each row group, that together yield no more than `limit` values; with the number of
    /// the group.
    pub(crate) fn readers<T: DataType>(
        &self,
        name: &str,
        leaf: usize,
        limit: u64,
    ) -> impl Iterator<Item = Result<(ColumnReaderImpl<T>, usize)>> {
        let mut left = limit;
        (0..self.metadata.num_row_groups()).map(move |group| {
            let column = self.metadata.row_group(group).column(leaf);
            let pages = Pages::new(self.file.clone(), column, left)
                .map_err(|e| self.decoding(name, &e, "values", limit))?;
            // The pages are what is read; a chunk that understates itself only tightens what later ones may hold.
            left = left.saturating_sub(u64::try_from(column.num_values()).unwrap_or(u64::MAX));
            let reader = ColumnReaderImpl::new(column.column_descr_ptr(), Box::new(pages));
            Ok((reader, group))
        })
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn no_column(&self, wanted: String) -> Error {
        const MOST: usize = 100;
        let mut columns: Vec<String> = self
            .columns
            .iter()
            .take(MOST)
            .map(|c| Brief(c).to_string())
            .collect();
        if let Some(more) = self.columns.len().checked_sub(MOST + 1) {
            columns.push(format!("and {} more", more + 1));
        }
        Error::NoColumn {
            path: self.path.clone(),
            wanted,
            columns: columns.join(", "),
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
        Error::corrupt(&self.path, detail)
    }

    /// A decoder's complaint, told apart from our own refusal to read more than `limit`.
    pub(crate) fn decoding(
        &self,
        column: &str,
        error: &ParquetError,
        what: &'static str,
        limit: u64,
    ) -> Error {
        let name = Brief(column);
        let unsupported =
            |what: &str| Error::unsupported(&self.path, format!("column '{name}' {what}"));
        match error {
            ParquetError::External(inner) => match inner.downcast_ref::<Refusal>() {
                Some(Refusal::Values) => self.too_large(column, what, limit),
                Some(Refusal::Unsupported(what)) => unsupported(what),
                Some(Refusal::Page { .. }) => Error::PageTooLarge {
                    path: self.path.clone(),
                    column: column.into(),
                    detail: inner.to_string(),
                },
                _ => self.corrupt(&format!("column '{name}': {inner}")),
            },
            ParquetError::NYI(what) => unsupported(&format!(
                "is written in a way that is not read here: {what}"
            )),
            other => match named_unknown(other) {
                Some(what) => unsupported(&format!("has a page with {what}")),
                None => self.corrupt(&format!("column '{name}': {other}")),
            },
        }
    }

    pub(crate) fn too_large(&self, column: &str, what: &'static str, limit: u64) -> Error {
        Error::TooLarge {
            path: self.path.clone(),
            column: column.into(),
            what,
            limit,
        }
    }

    /// Holds the rows that a column had in a row group against what the footer says of that group.
    pub(crate) fn check_group(&self, column: &str, group: usize, found: usize) -> Result<()> {
        let claimed = self.metadata.row_group(group).num_rows();
        match i64::try_from(found) == Ok(claimed) {
            true => Ok(()),
            false => Err(self.corrupt(&format!(
                "column '{}' has {found} rows in row group {group}, the footer says {claimed}",
                Brief(column)
            ))),
        }
    }
}

/// What a top-level column is, for messages.
fn shape(root: &Type) -> String {
    let info = root.get_basic_info();
    if root.is_primitive() {
        let repeated = match info.repetition() {
            Repetition::REPEATED => "repeated ",
            _ => "",
        };
        return format!("{repeated}{}", root.get_physical_type());
    }
    if is_list(root) {
        return "a list".into();
    }
    match info.logical_type_ref() {
        Some(logical) => value_type::name(logical),
        None => match info.converted_type() {
            ConvertedType::NONE => "a structure".into(),
            converted => converted.to_string(),
        },
    }
}

/// The parquet crate's words for a number in one of the format's lists (of codecs, encodings, types) that it has no name
/// for: a later version of the format, or a broken byte.
fn named_unknown(error: &ParquetError) -> Option<String> {
    let text = error.to_string();
    let (_, found) = text.split_once("Unexpected ")?;
    let (list, number) = found.split_once(' ')?;
    number.parse::<i32>().ok()?;
    Some(format!("{list} number {number}, which is not known here"))
}
