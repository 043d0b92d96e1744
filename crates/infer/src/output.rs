//! The parquet file: the data set's columns as they are, and for each pass k `model_output_k` (text), `tok_model_output_k`
//! (ids), `tok_model_output_len_k` and `infer_time_k` (seconds), as the reference's `run_infer.py` names them.

use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossmark_dataset::Table;
use ossmark_files::Claim;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};

use crate::{Answer, Error, Journal, Result};
use copied_columns::CopiedColumns;

mod copied_columns;
mod schema;
#[cfg(test)]
mod tests;

/// Rows written at a time; with them, their answers are in memory.
const ROWS: usize = 512;

/// Writes the answers of a journal without open requests beside the columns of `dataset`; `decode` turns ids into text.
/// The file appears whole or not at all. Returns what of the data set is not in it, a sentence each, and where an earlier
/// file was moved to.
///
/// # Errors
/// Reading the data set or the journal, or writing, fails.
pub fn write_output(
    output: &mut Claim,
    dataset: &Path,
    journal: &Journal,
    decode: &dyn Fn(&[u32]) -> String,
) -> Result<(Vec<String>, Option<PathBuf>)> {
    let path = &output.path().to_owned();
    let table = Table::open(dataset)?;
    let answered = journal.requests() / u64::from(journal.passes().max(1));
    if table.rows() as u64 != answered {
        return Err(Error::Output {
            path: path.to_owned(),
            what: format!(
                "{answered} rows were answered and {} now has {}; put the file back that was there",
                dataset.display(),
                table.rows()
            ),
        });
    }
    let columns = CopiedColumns::of(&table, journal.passes());
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let content = Output {
        path,
        table: &table,
        columns: &columns,
        journal,
        decode,
    };
    let ((), moved) = output.write_with(io, |file| {
        content.write(BufWriter::new(file.try_clone().map_err(io)?))
    })?;
    Ok((columns.left_out, moved))
}

struct Output<'a> {
    path: &'a Path,
    table: &'a Table,
    columns: &'a CopiedColumns,
    journal: &'a Journal,
    decode: &'a dyn Fn(&[u32]) -> String,
}

type Group<'a> = SerializedRowGroupWriter<'a, BufWriter<File>>;

impl Output<'_> {
    /// The data set's row groups, each with its answers: what is passed on is copied as it lies in the file.
    fn write(&self, file: BufWriter<File>) -> Result<()> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("ossmark ", env!("CARGO_PKG_VERSION")).into())
            .set_key_value_metadata(Some(self.columns.notes.clone()))
            // An index of some columns only would be worse than none, and copied columns come without.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .build();
        let schema = self
            .columns
            .schema(self.journal.passes())
            .map_err(|e| self.refused(&e))?;
        let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties))
            .map_err(|e| self.refused(&e))?;
        let bytes = self.table.file().metadata();
        let mut left = bytes.map_err(|source| self.io(source))?.len();
        let mut start = 0;
        for source in self.table.metadata().row_groups() {
            let rows = start..start + source.num_rows() as usize;
            start = rows.end;
            let mut group = writer.next_row_group().map_err(|e| self.refused(&e))?;
            for leaf in &self.columns.leaves {
                let chunk = source.column(*leaf);
                let copy = copied_columns::copy(self.table, chunk, source.num_rows())?;
                // A small file whose columns all claim the same bytes would become a very large one.
                left = left
                    .checked_sub(copy.bytes_written)
                    .ok_or_else(|| Error::Output {
                        path: self.path.to_owned(),
                        what: "columns of the data set overlap: it is corrupt".into(),
                    })?;
                group
                    .append_column(self.table.file(), copy)
                    .map_err(|e| self.refused(&e))?;
            }
            for pass in 0..self.journal.passes() {
                self.answers(&mut group, pass, rows.clone())?;
            }
            group.close().map_err(|e| self.refused(&e))?;
        }
        writer.close().map_err(|e| self.refused(&e))?;
        Ok(())
    }

    /// The four columns of a pass. Each reads the answers anew, some at a time: a row group may be the whole file.
    fn answers(&self, group: &mut Group<'_>, pass: u32, rows: Range<usize>) -> Result<()> {
        self.column::<ByteArrayType>(group, pass, rows.clone(), |a| {
            ByteArray::from((self.decode)(&a.tokens).as_str())
        })?;
        self.lists(group, pass, rows.clone())?;
        self.column::<Int64Type>(group, pass, rows.clone(), |a| a.tokens.len() as i64)?;
        self.column::<DoubleType>(group, pass, rows, |a| a.took.as_secs_f64())
    }

    fn column<T: DataType>(
        &self,
        group: &mut Group<'_>,
        pass: u32,
        rows: Range<usize>,
        value: impl Fn(&Answer) -> T::T,
    ) -> Result<()> {
        let mut column = self.next_column(group)?;
        for part in parts(rows) {
            let answers = self.read(pass, part)?;
            let values: Vec<T::T> = answers.iter().map(&value).collect();
            column
                .typed::<T>()
                .write_batch(&values, Some(&vec![1; values.len()]), None)
                .map_err(|e| self.refused(&e))?;
        }
        column.close().map_err(|e| self.refused(&e))
    }

    fn lists(&self, group: &mut Group<'_>, pass: u32, rows: Range<usize>) -> Result<()> {
        let mut column = self.next_column(group)?;
        for part in parts(rows) {
            let answers = self.read(pass, part)?;
            // Ids were checked to be below 2^31 when they came in.
            let values: Vec<i32> = answers
                .iter()
                .flat_map(|a| a.tokens.iter().map(|t| *t as i32))
                .collect();
            let (mut definitions, mut repetitions) = (Vec::new(), Vec::new());
            for Answer { tokens, .. } in &answers {
                // An empty list is there (1) and holds nothing (not 2).
                definitions.extend(std::iter::repeat_n(2i16, tokens.len()));
                repetitions.extend((0..tokens.len()).map(|i| i16::from(i > 0)));
                if tokens.is_empty() {
                    definitions.push(1);
                    repetitions.push(0);
                }
            }
            column
                .typed::<Int32Type>()
                .write_batch(&values, Some(&definitions), Some(&repetitions))
                .map_err(|e| self.refused(&e))?;
        }
        column.close().map_err(|e| self.refused(&e))
    }

    fn read(&self, pass: u32, rows: Range<usize>) -> Result<Vec<Answer>> {
        rows.map(|row| {
            let answer = self.journal.answer(row as u32, pass)?;
            answer.ok_or_else(|| Error::Output {
                path: self.path.to_owned(),
                what: format!("row {row}, pass {pass} has no answer"),
            })
        })
        .collect()
    }

    fn next_column<'a>(
        &self,
        group: &'a mut Group<'_>,
    ) -> Result<parquet::file::writer::SerializedColumnWriter<'a>> {
        let missing =
            || ParquetError::General("the schema has fewer columns than were written".into());
        let column = group.next_column().and_then(|c| c.ok_or_else(missing));
        column.map_err(|e| self.refused(&e))
    }

    fn io(&self, source: std::io::Error) -> Error {
        Error::Io {
            path: self.table.path().to_owned(),
            source,
        }
    }

    fn refused(&self, error: &ParquetError) -> Error {
        Error::Output {
            path: self.path.to_owned(),
            what: error.to_string(),
        }
    }
}

fn parts(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    rows.clone()
        .step_by(ROWS)
        .map(move |start| start..(start + ROWS).min(rows.end))
}
