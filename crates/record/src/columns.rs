//! `samples.parquet`: its columns, and writing them.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use ossmark_files::{Claim, IfExists};
use parquet::basic::{Compression, Encoding, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type};

use crate::VERSION;
use crate::error::Error;
use crate::row::Row;

/// Keys of the file's metadata: the record's version, rows lost, and why it ended before the run did.
pub(crate) const VERSION_KEY: &str = "ossmark.record.version";
pub(crate) const LOST_KEY: &str = "ossmark.record.lost";
pub(crate) const REASON_KEY: &str = "ossmark.record.reason";

/// Rows of a row group.
const GROUP: usize = 1 << 17;

type Group<'a> = SerializedRowGroupWriter<'a, BufWriter<File>>;

/// Writes rows, which are in order of issue, to a file that appears whole or not at all.
///
/// # Errors
///
/// There is a file of this name, which is to be refused; writing fails.
pub(crate) fn write(
    path: &Path,
    if_exists: IfExists,
    rows: &[Row],
    lost: u64,
    reason: Option<&str>,
) -> Result<(), Error> {
    let mut claim = Claim::new(path, if_exists).map_err(Error::io(path))?;
    let failed = |error: ParquetError| Error::Write {
        path: path.to_owned(),
        what: error.to_string(),
    };
    claim
        .write_with(Error::io(path), |file| {
            let file = file.try_clone().map_err(Error::io(path))?;
            fill(BufWriter::new(file), rows, lost, reason).map_err(failed)
        })
        .map(drop)
}

fn fill(file: BufWriter<File>, rows: &[Row], lost: u64, reason: Option<&str>) -> Result<()> {
    let note = |key: &str, value: String| KeyValue::new(key.into(), value);
    let mut notes = vec![
        note(VERSION_KEY, VERSION.to_string()),
        note(LOST_KEY, lost.to_string()),
    ];
    notes.extend(reason.map(|reason| note(REASON_KEY, reason.into())));
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("ossmark ", env!("CARGO_PKG_VERSION")).into())
        .set_key_value_metadata(Some(notes))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    let schema = schema()?;
    for field in schema.get_fields() {
        if field.get_physical_type() != Physical::BYTE_ARRAY {
            // Numbers that mostly rise.
            let column = ColumnPath::from(field.name());
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
    }
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build()))?;
    for rows in rows.chunks(GROUP) {
        let mut group = writer.next_row_group()?;
        columns(&mut group, rows)?;
        group.close()?;
    }
    writer.close()?;
    Ok(())
}

/// The columns in the order of [`schema`].
fn columns(group: &mut Group<'_>, rows: &[Row]) -> Result<()> {
    column::<Int64Type>(group, rows, |row| row.request.cast_signed())?;
    column::<Int32Type>(group, rows, |row| row.sample_index.cast_signed())?;
    column::<Int32Type>(group, rows, |row| row.prompt_tokens.cast_signed())?;
    column::<Int32Type>(group, rows, |row| row.output_tokens.cast_signed())?;
    times(group, rows, |row| row.scheduled_ns)?;
    times(group, rows, |row| row.issued_ns)?;
    times(group, rows, |row| row.first_token_ns)?;
    times(group, rows, |row| row.completed_ns)?;
    column::<ByteArrayType>(group, rows, |row| ByteArray::from(row.end.name()))?;
    column::<Int32Type>(group, rows, |row| row.engine.into())
}

fn schema() -> Result<Type> {
    let number = |name, bit_width, is_signed, repetition| {
        let physical = match bit_width {
            64 => Physical::INT64,
            _ => Physical::INT32,
        };
        Type::primitive_type_builder(name, physical)
            .with_logical_type(Some(LogicalType::integer(bit_width, is_signed)))
            .with_repetition(repetition)
            .build()
    };
    let unsigned = |name, bits| number(name, bits, false, Repetition::REQUIRED);
    let time = |name| number(name, 64, true, Repetition::OPTIONAL);
    let end = Type::primitive_type_builder("end", Physical::BYTE_ARRAY)
        .with_logical_type(Some(LogicalType::String))
        .with_repetition(Repetition::REQUIRED);
    let fields = [
        unsigned("request", 64)?,
        unsigned("sample_index", 32)?,
        unsigned("prompt_tokens", 32)?,
        unsigned("output_tokens", 32)?,
        time("scheduled_ns")?,
        time("issued_ns")?,
        time("first_token_ns")?,
        time("completed_ns")?,
        end.build()?,
        unsigned("engine", 16)?,
    ];
    Type::group_type_builder("samples")
        .with_fields(fields.into_iter().map(Arc::new).collect())
        .build()
}

fn column<T: DataType>(
    group: &mut Group<'_>,
    rows: &[Row],
    value: impl Fn(&Row) -> T::T,
) -> Result<()> {
    let values: Vec<T::T> = rows.iter().map(value).collect();
    write_batch::<T>(group, &values, None)
}

fn times(group: &mut Group<'_>, rows: &[Row], value: impl Fn(&Row) -> Option<i64>) -> Result<()> {
    let values: Vec<i64> = rows.iter().filter_map(&value).collect();
    let there: Vec<i16> = rows.iter().map(|row| value(row).is_some().into()).collect();
    write_batch::<Int64Type>(group, &values, Some(&there))
}

fn write_batch<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    there: Option<&[i16]>,
) -> Result<()> {
    let missing = || ParquetError::General("the schema has fewer columns than were written".into());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, there, None)?;
    column.close()
}
