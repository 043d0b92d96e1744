//! The parquet file: the data set's columns, and for each pass k `model_output_k` (text), `tok_model_output_k` (ids),
//! `tok_model_output_len_k` and `infer_time_k` (seconds), as the reference's `run_infer.py` names them.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossmark_dataset::{Cell, Table};
use ossmark_files::Claim;
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use crate::{Error, Journal, Result};

/// Rows written at a time; with them, their answers are in memory.
const ROWS: usize = 512;

/// Writes the answers of a journal without open requests beside the columns of `dataset`; `decode` turns ids into text.
/// The file appears whole or not at all. Returns where an earlier one was moved to.
///
/// # Errors
/// Reading the data set or the journal, or writing, fails.
pub fn write_output(
    output: &mut Claim,
    dataset: &Path,
    journal: &Journal,
    decode: &dyn Fn(&[u32]) -> String,
) -> Result<Option<PathBuf>> {
    let path = &output.path().to_owned();
    let table = Table::open(dataset)?;
    let columns = read_columns(&table, journal.passes())?;
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let content = Output {
        path,
        columns: &columns,
        rows: table.rows(),
        journal,
        decode,
    };
    let written = output.write_with(io, |file| {
        content.write(BufWriter::new(file.try_clone().map_err(io)?))
    });
    written.map(|((), moved)| moved)
}

/// A column of the data set.
struct Column {
    name: String,
    values: Values,
}

enum Values {
    Text(Vec<Option<ByteArray>>),
    Int(Vec<Option<i64>>),
    Float(Vec<Option<f64>>),
    Bool(Vec<Option<bool>>),
    Tokens(Vec<Arc<[u32]>>),
}

/// What can be read, except columns of earlier answers.
fn read_columns(table: &Table, passes: u32) -> Result<Vec<Column>> {
    let ours: Vec<String> = (0..passes).flat_map(answer_columns).collect();
    let mut columns = Vec::new();
    for name in table.columns() {
        if ours.contains(name) {
            continue;
        }
        let values = if table.is_text(name) {
            of_cells(&table.cells(name)?)
        } else if ossmark_dataset::TOKEN_COLUMNS.contains(&name.as_str()) {
            Values::Tokens(table.tokens(name)?)
        } else {
            continue;
        };
        columns.push(Column {
            name: name.clone(),
            values,
        });
    }
    Ok(columns)
}

fn answer_columns(pass: u32) -> [String; 4] {
    [
        "model_output",
        "tok_model_output",
        "tok_model_output_len",
        "infer_time",
    ]
    .map(|name| format!("{name}_{pass}"))
}

/// A column as one type: integers with gaps have already become floats, as in pandas.
fn of_cells(cells: &[Cell]) -> Values {
    let kind = cells.iter().find(|cell| **cell != Cell::Null);
    match kind {
        Some(Cell::Bool(_)) => {
            let of = |cell: &Cell| match cell {
                Cell::Bool(b) => Some(*b),
                _ => None,
            };
            Values::Bool(cells.iter().map(of).collect())
        }
        Some(Cell::Int(_)) => {
            let of = |cell: &Cell| match cell {
                Cell::Int(n) => Some(*n),
                _ => None,
            };
            Values::Int(cells.iter().map(of).collect())
        }
        Some(Cell::Float(_)) => {
            let of = |cell: &Cell| match cell {
                Cell::Float(x) => Some(*x),
                _ => None,
            };
            Values::Float(cells.iter().map(of).collect())
        }
        Some(Cell::Text(_) | Cell::Null) | None => {
            let of = |cell: &Cell| match cell {
                Cell::Text(text) => Some(ByteArray::from(text.as_str())),
                _ => None,
            };
            Values::Text(cells.iter().map(of).collect())
        }
    }
}

struct Output<'a> {
    path: &'a Path,
    columns: &'a [Column],
    rows: usize,
    journal: &'a Journal,
    decode: &'a dyn Fn(&[u32]) -> String,
}

type Group<'a> = SerializedRowGroupWriter<'a, BufWriter<File>>;

impl Output<'_> {
    fn write(&self, file: BufWriter<File>) -> Result<()> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("ossmark ", env!("CARGO_PKG_VERSION")).into())
            .build();
        let schema = self.schema().map_err(|e| self.refused(&e))?;
        let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties))
            .map_err(|e| self.refused(&e))?;
        for start in (0..self.rows).step_by(ROWS) {
            let rows = start..(start + ROWS).min(self.rows);
            let mut group = writer.next_row_group().map_err(|e| self.refused(&e))?;
            for column in self.columns {
                put_column(&mut group, &column.values, rows.clone())
                    .map_err(|e| self.refused(&e))?;
            }
            for pass in 0..self.journal.passes() {
                let mut answers = Vec::with_capacity(rows.len());
                for row in rows.clone() {
                    let answer = self.journal.answer(row as u32, pass)?;
                    answers.push(answer.ok_or_else(|| Error::Output {
                        path: self.path.to_owned(),
                        what: format!("row {row}, pass {pass} has no answer"),
                    })?);
                }
                let texts = answers.iter().map(|a| (self.decode)(&a.tokens));
                let texts: Vec<_> = texts
                    .map(|text| Some(ByteArray::from(text.as_str())))
                    .collect();
                let tokens: Vec<&[u32]> = answers.iter().map(|a| &a.tokens[..]).collect();
                let lengths: Vec<_> = tokens.iter().map(|t| Some(t.len() as i64)).collect();
                let times: Vec<_> = answers.iter().map(|a| Some(a.took.as_secs_f64())).collect();
                put::<ByteArrayType>(&mut group, &texts)
                    .and_then(|()| put_lists(&mut group, &tokens))
                    .and_then(|()| put::<Int64Type>(&mut group, &lengths))
                    .and_then(|()| put::<DoubleType>(&mut group, &times))
                    .map_err(|e| self.refused(&e))?;
            }
            group.close().map_err(|e| self.refused(&e))?;
        }
        writer.close().map_err(|e| self.refused(&e))?;
        Ok(())
    }

    fn refused(&self, error: &ParquetError) -> Error {
        Error::Output {
            path: self.path.to_owned(),
            what: error.to_string(),
        }
    }

    fn schema(&self) -> std::result::Result<TypePtr, ParquetError> {
        let mut fields = Vec::new();
        for column in self.columns {
            fields.push(Arc::new(match &column.values {
                Values::Text(_) => text(&column.name)?,
                Values::Int(_) => plain(&column.name, Physical::INT64)?,
                Values::Float(_) => plain(&column.name, Physical::DOUBLE)?,
                Values::Bool(_) => plain(&column.name, Physical::BOOLEAN)?,
                Values::Tokens(_) => list(&column.name)?,
            }));
        }
        for pass in 0..self.journal.passes() {
            let [output, tokens, length, time] = answer_columns(pass);
            fields.push(Arc::new(text(&output)?));
            fields.push(Arc::new(list(&tokens)?));
            fields.push(Arc::new(plain(&length, Physical::INT64)?));
            fields.push(Arc::new(plain(&time, Physical::DOUBLE)?));
        }
        let schema = Type::group_type_builder("schema").with_fields(fields);
        Ok(Arc::new(schema.build()?))
    }
}

fn plain(name: &str, kind: Physical) -> std::result::Result<Type, ParquetError> {
    Type::primitive_type_builder(name, kind)
        .with_repetition(Repetition::OPTIONAL)
        .build()
}

fn text(name: &str) -> std::result::Result<Type, ParquetError> {
    Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::String))
        .build()
}

/// The three levels of the format's documentation on lists.
fn list(name: &str) -> std::result::Result<Type, ParquetError> {
    let element = Type::primitive_type_builder("element", Physical::INT32)
        .with_repetition(Repetition::REQUIRED)
        .build()?;
    let repeated = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![Arc::new(element)])
        .build()?;
    Type::group_type_builder(name)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(repeated)])
        .build()
}

fn put_column(
    group: &mut Group<'_>,
    values: &Values,
    rows: std::ops::Range<usize>,
) -> std::result::Result<(), ParquetError> {
    match values {
        Values::Text(v) => put::<ByteArrayType>(group, &v[rows]),
        Values::Int(v) => put::<Int64Type>(group, &v[rows]),
        Values::Float(v) => put::<DoubleType>(group, &v[rows]),
        Values::Bool(v) => put::<BoolType>(group, &v[rows]),
        Values::Tokens(v) => {
            let lists: Vec<&[u32]> = v[rows].iter().map(|t| &t[..]).collect();
            put_lists(group, &lists)
        }
    }
}

fn put<T: DataType>(
    group: &mut Group<'_>,
    values: &[Option<T::T>],
) -> std::result::Result<(), ParquetError> {
    let present: Vec<T::T> = values.iter().flatten().cloned().collect();
    let levels: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
    let mut column = next_column(group)?;
    column
        .typed::<T>()
        .write_batch(&present, Some(&levels), None)?;
    column.close()
}

fn put_lists(group: &mut Group<'_>, lists: &[&[u32]]) -> std::result::Result<(), ParquetError> {
    // Ids were checked to be below 2^31 when they came in.
    let values: Vec<i32> = lists
        .iter()
        .flat_map(|l| l.iter())
        .map(|t| *t as i32)
        .collect();
    let (mut definitions, mut repetitions) = (Vec::new(), Vec::new());
    for list in lists {
        // An empty list is there (1) and holds nothing (not 2).
        definitions.extend(std::iter::repeat_n(2i16, list.len()));
        repetitions.extend((0..list.len()).map(|i| i16::from(i > 0)));
        if list.is_empty() {
            definitions.push(1);
            repetitions.push(0);
        }
    }
    let mut column = next_column(group)?;
    column
        .typed::<Int32Type>()
        .write_batch(&values, Some(&definitions), Some(&repetitions))?;
    column.close()
}

fn next_column<'a>(
    group: &'a mut Group<'_>,
) -> std::result::Result<parquet::file::writer::SerializedColumnWriter<'a>, ParquetError> {
    group.next_column()?.ok_or_else(|| {
        ParquetError::General("the schema has fewer columns than were written".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Outcome};
    use ossmark_dataset::Dataset;
    use ossmark_files::Earlier;
    use serde_json::json;
    use std::time::Duration;

    /// Writes a data set by the same means, then answers beside it, and reads both back.
    #[test]
    fn the_file_holds_the_data_set_and_every_answer() {
        let tmp = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/perf.parquet");
        let dataset = Dataset::open(&source).unwrap();
        let (rows, passes) = (dataset.len() as u32, 2);
        let path = tmp.path().join("j");
        let (mut journal, _) = Journal::open(&path, &json!({}), rows, passes).unwrap();
        let tokens = |row: u32, pass: u32| (0..row % 5 + pass).collect::<Vec<u32>>();
        for row in 0..rows {
            for pass in 0..passes {
                let result = Ok(Answer {
                    tokens: tokens(row, pass),
                    cut: false,
                    took: Duration::from_millis(1500),
                });
                journal.record(&[Outcome { row, pass, result }]).unwrap();
            }
        }
        let output = tmp.path().join("out.parquet");
        let mut claim = Claim::new(&output, Earlier::Refuse).unwrap();
        write_output(&mut claim, &source, &journal, &|ids| format!("{ids:?}")).unwrap();

        let table = Table::open(&output).unwrap();
        let (before, after) = (Table::open(&source).unwrap(), &table);
        for column in ["dataset", "ground_truth", "question"] {
            assert_eq!(before.cells(column).unwrap(), after.cells(column).unwrap());
        }
        assert_eq!(
            before.tokens("tok_input").unwrap(),
            after.tokens("tok_input").unwrap()
        );
        for pass in 0..passes {
            let texts = table.cells(&format!("model_output_{pass}")).unwrap();
            let lengths = table
                .cells(&format!("tok_model_output_len_{pass}"))
                .unwrap();
            for row in 0..rows {
                let expected = tokens(row, pass);
                assert_eq!(texts[row as usize], Cell::Text(format!("{expected:?}")));
                assert_eq!(lengths[row as usize], Cell::Int(expected.len() as i64));
            }
        }
        // Pass 1 has no empty answer, which the reader of token columns would refuse.
        let read = table.tokens("tok_model_output_1").unwrap();
        assert!((0..rows).all(|row| *read[row as usize] == *tokens(row, 1)));
        assert_eq!(table.cells("infer_time_0").unwrap()[0], Cell::Float(1.5));
        // Nothing temporary is left.
        assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 2);
    }

    #[test]
    fn an_open_request_is_no_output() {
        let tmp = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/perf.parquet");
        let rows = Dataset::open(&source).unwrap().len() as u32;
        let (journal, _) = Journal::open(&tmp.path().join("j"), &json!({}), rows, 1).unwrap();
        let output = tmp.path().join("out.parquet");
        let mut claim = Claim::new(&output, Earlier::Refuse).unwrap();
        let error = write_output(&mut claim, &source, &journal, &|_| String::new()).unwrap_err();
        assert!(error.to_string().contains("row 0, pass 0"), "{error}");
        assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 1);
    }
}
