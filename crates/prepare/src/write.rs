//! The parquet file, column by column, in the benchmark's schema: texts and `input_tokens`, a list of int32.

use std::sync::Arc;

use parquet::{
    basic::{Compression, ZstdLevel},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use crate::{Error, Result, Row};

/// `input_tokens` is the official files' name since their version 4 (reference, utils/tokenization.py), `text_input` that of
/// the whole prompt in its preparation script.
const SCHEMA: &str = "message schema {
    REQUIRED BINARY dataset (STRING);
    REQUIRED BINARY ground_truth (STRING);
    REQUIRED BINARY question (STRING);
    REQUIRED BINARY prompt (STRING);
    REQUIRED BINARY text_input (STRING);
    REQUIRED GROUP input_tokens (LIST) { REPEATED GROUP list { REQUIRED INT32 element; } }
}";

pub(crate) fn parquet<'a>(rows: impl Iterator<Item = Row<'a>>) -> Result<Vec<u8>> {
    let rows: Vec<Row<'a>> = rows.collect();
    write(&rows).map_err(|e| Error::Internal {
        what: "encode the parquet file",
        reason: e.to_string(),
    })
}

fn write(rows: &[Row<'_>]) -> Result<Vec<u8>, ParquetError> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = WriterProperties::builder()
        .set_created_by("ossmark".into())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let text = |column: usize, row: &Row<'_>| -> ByteArray {
        [
            row.dataset,
            row.ground_truth,
            row.question,
            row.prompt,
            row.text_input,
        ][column]
            .into()
    };
    let mut number = 0;
    while let Some(mut column) = group.next_column()? {
        match column.untyped() {
            ColumnWriter::ByteArrayColumnWriter(texts) => {
                let values: Vec<ByteArray> = rows.iter().map(|row| text(number, row)).collect();
                texts.write_batch(&values, None, None)?;
            }
            ColumnWriter::Int32ColumnWriter(tokens) => {
                // A prompt has at least the tokens of its frame: no list is empty, and the first element of each begins a row.
                for row in rows {
                    let values: Vec<i32> = row
                        .input_tokens
                        .iter()
                        .map(|&id| id.cast_signed())
                        .collect();
                    let starts: Vec<i16> = (0..values.len()).map(|at| i16::from(at > 0)).collect();
                    tokens.write_batch(&values, Some(&vec![1; values.len()]), Some(&starts))?;
                }
            }
            _ => unreachable!("the schema has texts and integers only"),
        }
        column.close()?;
        number += 1;
    }
    group.close()?;
    writer.into_inner()
}
