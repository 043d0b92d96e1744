//! Files of rows, whatever their format: each row's wanted fields as text, with the place where it stands.

mod csv;
mod jsonl;
mod parquet;

use std::{io::Read, path::Path};

use crate::{Error, RecordPosition, Result};

/// A field that a reader wants, under the names that publishers give it; the first that is there counts.
pub(crate) struct Field<'a> {
    pub(crate) names: Vec<&'a str>,
    /// A row may lack it.
    pub(crate) optional: bool,
}

impl<'a> Field<'a> {
    pub(crate) fn new(names: &[&'a str]) -> Self {
        Self {
            names: names.to_vec(),
            optional: false,
        }
    }

    pub(crate) fn optional(names: &[&'a str]) -> Self {
        Self {
            optional: true,
            ..Self::new(names)
        }
    }

    fn wanted(&self) -> String {
        let quoted: Vec<String> = self.names.iter().map(|name| format!("'{name}'")).collect();
        quoted.join(" or ")
    }
}

/// A row: one value for each field, None only where the field is optional.
pub(crate) struct Record {
    pub(crate) place: RecordPosition,
    pub(crate) values: Vec<Option<String>>,
}

/// Reads every row of a file.
pub(crate) fn read(path: &Path, fields: &[Field<'_>]) -> Result<Vec<Record>> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut head = Vec::new();
    let file = ossmark_files::open(path).map_err(io)?;
    file.take(4).read_to_end(&mut head).map_err(io)?;
    let name = path.to_string_lossy().to_ascii_lowercase();
    // What is packed in gzip is told by its content, and opened by every reader of text.
    let ending = Path::new(name.strip_suffix(".gz").unwrap_or(&name))
        .extension()
        .map(|e| e.to_string_lossy().into_owned());
    match ending.as_deref() {
        // By content where there is a mark: such files are renamed when they are downloaded.
        _ if head == b"PAR1" => parquet::read(path, fields),
        Some("parquet") => parquet::read(path, fields),
        Some("jsonl" | "json" | "ndjson") => jsonl::read(path, fields),
        Some("csv") => csv::read(path, fields, b','),
        Some("tsv") => csv::read(path, fields, b'\t'),
        None => Err(format(path, "has no ending".into())),
        Some(other) => Err(format(path, format!("ends in .{other}"))),
    }
}

fn format(path: &Path, found: String) -> Error {
    Error::Format {
        path: path.to_owned(),
        found,
    }
}

/// For formats with a header: which column each field is in.
fn columns<S: AsRef<str>>(
    path: &Path,
    fields: &[Field<'_>],
    header: &[S],
) -> Result<Vec<Option<usize>>> {
    let find = |field: &Field<'_>| {
        let found = field
            .names
            .iter()
            .find_map(|name| header.iter().position(|h| h.as_ref() == *name));
        match found {
            None if !field.optional => {
                let names: Vec<&str> = header.iter().map(AsRef::as_ref).collect();
                Err(Error::NoColumn {
                    path: path.to_owned(),
                    wanted: field.wanted(),
                    columns: names.join(", "),
                })
            }
            found => Ok(found),
        }
    };
    fields.iter().map(find).collect()
}

fn row(path: &Path, place: RecordPosition, what: String) -> Error {
    Error::Row {
        path: path.to_owned(),
        place,
        what,
    }
}
