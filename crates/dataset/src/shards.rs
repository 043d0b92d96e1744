//! Data sets in several parquet files, as Hugging Face and pyarrow write large ones: a folder of them, or a pattern such as
//! `data/train-*.parquet`. Owns which files these are and in which order; to whoever reads them they are one table.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Cell, Error, Result, Table, TextColumn, cell::floats_if_gaps, text_file::packed};

/// Nobody cuts a data set into more.
const MAX_FILES: usize = 10_000;

/// The files that a path stands for, in the order of their names: those that fit, where it is a pattern; the parquet files in
/// it, where it is a folder; else itself, whether it is there or not.
///
/// # Errors
/// [`Error::Io`], and [`Error::Form`] where nothing fits, or where a folder holds parts of several tables or not all of one.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let form = |what: String| Error::Form {
        path: path.to_owned(),
        what,
    };
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    if path.is_dir() {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(io)? {
            let file = entry.map_err(io)?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            // Hidden files and what writers note down beside their files.
            let is_part = !name.starts_with(['.', '_']) && name.ends_with(".parquet");
            if is_part {
                files.push(file);
            }
            if files.len() > MAX_FILES {
                return Err(form(format!("holds more than {MAX_FILES} parquet files")));
            }
        }
        if files.is_empty() {
            return Err(form(
                "is a folder without .parquet files; expected a file, or a folder of them".into(),
            ));
        }
        files.sort();
        one_table(&files).map_err(form)?;
        return Ok(files);
    }
    let text = path.to_string_lossy();
    if !text.contains(['*', '?', '[']) || path.symlink_metadata().is_ok() {
        return Ok(vec![path.to_owned()]);
    }
    // Hidden files fit no pattern, as in a shell and in Python.
    let options = glob::MatchOptions {
        require_literal_leading_dot: true,
        ..glob::MatchOptions::new()
    };
    let pattern = glob::glob_with(&text, options)
        .map_err(|e| form(format!("no pattern for file names: {e}")))?;
    let mut files: Vec<PathBuf> = pattern
        .take(MAX_FILES + 1)
        .collect::<Result<_, _>>()
        .map_err(|e| form(e.to_string()))?;
    files.sort();
    match files.len() {
        0 => Err(form("no file fits this pattern".into())),
        n if n > MAX_FILES => Err(form(format!(
            "more than {MAX_FILES} files fit this pattern"
        ))),
        _ => Ok(files),
    }
}

/// `train-00000-of-00002.parquet` says of which table it is a part, and how many parts there are.
fn one_table(files: &[PathBuf]) -> Result<(), String> {
    let mut tables: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    for stem in files.iter().filter_map(|file| file.file_stem()?.to_str()) {
        let part = stem.rsplit_once("-of-").and_then(|(begin, count)| {
            let (table, number) = begin.rsplit_once('-')?;
            number.parse::<usize>().ok()?;
            Some((table, count.parse().ok()?))
        });
        if let Some(part) = part {
            *tables.entry(part).or_default() += 1;
        }
    }
    let mut tables = tables.into_iter();
    match (tables.next(), tables.next()) {
        (Some(((one, _), _)), Some(((other, _), _))) => Err(format!(
            "holds parts of several tables, {one} and {other}: name one by a pattern in quotes, such as '{one}-*.parquet'"
        )),
        (Some(((table, count), there)), None) if count != there => Err(format!(
            "holds {there} of the {count} parts of {table}; get the others from where these are from"
        )),
        _ => Ok(()),
    }
}

/// Parquet files that are one table: the rows of the first, then those of the next.
pub struct Tables {
    path: PathBuf,
    tables: Vec<Table>,
}

impl Tables {
    /// Opens what `path` stands for; see [`files`].
    ///
    /// # Errors
    /// Those of [`files`] and [`Table::open`]; [`Error::Form`] where the files have not the same columns, or are text.
    pub fn open(path: &Path) -> Result<Self> {
        let tables: Vec<Table> = files(path)?
            .iter()
            .map(|file| {
                refuse_text(file)?;
                Table::open(file)
            })
            .collect::<Result<_>>()?;
        let columns = |table: &Table| table.columns().iter().cloned().collect::<BTreeSet<_>>();
        if let Some((first, others)) = tables.split_first() {
            let expected = columns(first);
            if let Some(other) = others.iter().find(|table| columns(table) != expected) {
                return Err(Error::Form {
                    path: other.path().to_owned(),
                    what: format!(
                        "found the columns {}, expected those of {}: {}",
                        other.columns().join(", "),
                        first.path().display(),
                        first.columns().join(", ")
                    ),
                });
            }
        }
        Ok(Self {
            path: path.to_owned(),
            tables,
        })
    }

    /// The files, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.tables.iter().map(Table::path)
    }

    /// The names of the columns, in the first file's order.
    pub fn columns(&self) -> &[String] {
        self.tables.first().map_or(&[], Table::columns)
    }

    /// The number of rows that the footers claim.
    pub fn rows(&self) -> usize {
        self.tables
            .iter()
            .map(Table::rows)
            .fold(0, usize::saturating_add)
    }

    /// Whether there is a column of this name.
    pub fn has(&self, column: &str) -> bool {
        self.columns().iter().any(|c| c == column)
    }

    /// Whether [`Tables::text`] can read the column.
    pub fn is_text(&self, column: &str) -> bool {
        self.tables.iter().all(|table| table.is_text(column))
    }

    /// As [`Table::tokens`].
    pub fn tokens(&self, column: &str) -> Result<Vec<Arc<[u32]>>> {
        self.all(|table| table.tokens(column))
    }

    /// As [`Table::text`].
    pub fn text(&self, column: &str) -> Result<TextColumn> {
        self.all(|table| table.text(column))
    }

    /// As [`Table::cells`]: a gap in one file makes floats of the integers in all of them.
    pub fn cells(&self, column: &str) -> Result<Vec<Cell>> {
        let cells = self.all(|table| table.cells(column))?;
        Ok(
            match self.tables.iter().all(|table| table.keeps_integers(column)) {
                true => cells,
                false => floats_if_gaps(cells),
            },
        )
    }

    /// The error of a column that is not there.
    pub(crate) fn no_column(&self, wanted: String) -> Error {
        Error::NoColumn {
            path: self.path.clone(),
            wanted,
            columns: self.columns().join(", "),
        }
    }

    fn all<T>(&self, read: impl Fn(&Table) -> Result<Vec<T>>) -> Result<Vec<T>> {
        let mut tables = self.tables.iter();
        let mut all = tables.next().map_or(Ok(Vec::new()), &read)?;
        for table in tables {
            all.append(&mut read(table)?);
        }
        Ok(all)
    }
}

/// Text where a table is expected is named, with the way to one.
fn refuse_text(path: &Path) -> Result<()> {
    use std::io::Read;
    let mut head = Vec::new();
    // Whatever cannot be read is said by Table.
    if let Ok(file) = ossmark_files::open(path) {
        let _ = file.take(4).read_to_end(&mut head);
    }
    let form = |what: String| {
        Err(Error::Form {
            path: path.to_owned(),
            what,
        })
    };
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    if let Some(found) = packed(&head).filter(|_| !head.starts_with(b"PAR1")) {
        return form(format!("found {found}, expected a parquet file"));
    }
    let text = ossmark_files::without_mark(&head).trim_ascii_start();
    let reader = if text.starts_with(b"[") {
        "read_json('IN')"
    } else if text.starts_with(b"{") {
        "read_json('IN', lines=True)"
    } else if name.ends_with(".csv") && !head.starts_with(b"PAR1") {
        "read_csv('IN')"
    } else if name.ends_with(".tsv") && !head.starts_with(b"PAR1") {
        "read_csv('IN', sep='\\t')"
    } else {
        return Ok(());
    };
    form(format!(
        "found text, expected a parquet file: questions become one by `ossmark dataset prepare`, a table with tokens by \
         python3 -c \"import pandas; pandas.{reader}.to_parquet('OUT.parquet')\""
    ))
}
