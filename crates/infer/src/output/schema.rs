//! The types of a pass's columns, in parquet and in arrow's note.

use std::sync::Arc;

use arrow_schema::{DataType, Field};
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::Type;

/// The names of a pass's columns.
pub(super) fn names(pass: u32) -> [String; 4] {
    [
        "model_output",
        "tok_model_output",
        "tok_model_output_len",
        "infer_time",
    ]
    .map(|name| format!("{name}_{pass}"))
}

pub(super) fn parquet(pass: u32) -> Result<[Type; 4], ParquetError> {
    let [output, tokens, length, time] = names(pass);
    Ok([
        text(&output)?,
        list(&tokens)?,
        plain(&length, Physical::INT64)?,
        plain(&time, Physical::DOUBLE)?,
    ])
}

pub(super) fn arrow(pass: u32) -> [Field; 4] {
    let [output, tokens, length, time] = names(pass);
    let element = Arc::new(Field::new("element", DataType::Int32, false));
    [
        Field::new(output, DataType::Utf8, true),
        Field::new(tokens, DataType::List(element), true),
        Field::new(length, DataType::Int64, true),
        Field::new(time, DataType::Float64, true),
    ]
}

fn plain(name: &str, kind: Physical) -> Result<Type, ParquetError> {
    Type::primitive_type_builder(name, kind)
        .with_repetition(Repetition::OPTIONAL)
        .build()
}

fn text(name: &str) -> Result<Type, ParquetError> {
    Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::String))
        .build()
}

/// The three levels of the format's documentation on lists.
fn list(name: &str) -> Result<Type, ParquetError> {
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
