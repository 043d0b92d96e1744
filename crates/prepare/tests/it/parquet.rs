//! Parquet sources whose answers are not text: each is read by what its type means.

use std::fs::File;
use std::path::Path;

use ossmark_prepare::Request;
use parquet::{
    data_type::{
        ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
        Int32Type, Int64Type,
    },
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use crate::{demo, run};

/// A source file of one question with this answer.
fn write<T: DataType>(path: &Path, answer: &str, value: T::T) {
    let schema = format!("message m {{ required binary question (STRING); required {answer}; }}");
    let schema = parse_message_type(&schema).unwrap();
    let properties = WriterProperties::builder().build();
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema.into(), properties.into()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<ByteArrayType>()
        .write_batch(&[ByteArray::from("6 times 7?")], None, None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<T>()
        .write_batch(&[value], None, None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

/// The ground truth that comes of it, or the complaint.
fn truth<T: DataType>(kind: &str, answer: &str, value: T::T) -> String {
    let dir = tempfile::tempdir().unwrap();
    write::<T>(&dir.path().join("in.parquet"), answer, value);
    let recipe = dir.path().join("r.toml");
    let text = format!(
        "[[source]]\nkind = \"{kind}\"\nfiles = [\"in.parquet\"]\nrepeats = 1\nname = \"aime_x\""
    );
    std::fs::write(&recipe, text).unwrap();
    match run(&recipe, &Request::default(), &demo()) {
        Ok(prepared) => prepared.rows().next().unwrap().ground_truth.to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn answers_of_aime() {
    let bytes = |bytes: &[u8]| ByteArray::from(bytes.to_vec());
    let fixed = |bytes: &[u8]| FixedLenByteArray::from(bytes.to_vec());
    let (one, two) = ("(DECIMAL(3, 1))", "(DECIMAL(9, 2))");
    for found in [
        truth::<Int32Type>("aime25", &format!("int32 answer {one}"), 420),
        truth::<Int32Type>("aime25", "int32 answer (DECIMAL(9, 0))", 42),
        truth::<Int64Type>("aime25", &format!("int64 answer {two}"), 4200),
        truth::<ByteArrayType>("aime25", &format!("binary answer {one}"), bytes(&[1, 164])),
        truth::<FixedLenByteArrayType>(
            "aime25",
            &format!("fixed_len_byte_array(4) answer {one}"),
            fixed(&[0, 0, 1, 164]),
        ),
        truth::<DoubleType>("aime25", "double answer", 42.0),
        truth::<Int64Type>("aime25", "int64 answer (UINT_64)", 42),
        truth::<FixedLenByteArrayType>(
            "aime25",
            "fixed_len_byte_array(2) answer (FLOAT16)",
            fixed(&[0x40, 0x51]),
        ),
    ] {
        assert_eq!(found, "42");
    }
    for (found, part) in [
        (
            truth::<Int32Type>("aime25", &format!("int32 answer {two}"), 4250),
            "the answer is \"42.50\"",
        ),
        (
            truth::<Int32Type>("aime25", &format!("int32 answer {one}"), -420),
            "the answer is \"-42.0\"",
        ),
        (
            truth::<Int32Type>("aime25", "int32 answer (DATE)", 42),
            "the answer is \"1970-02-12\"",
        ),
        (
            truth::<FixedLenByteArrayType>(
                "aime25",
                "fixed_len_byte_array(12) answer (INTERVAL)",
                fixed(&[0; 12]),
            ),
            "column 'answer' is INTERVAL",
        ),
        (
            truth::<ByteArrayType>("aime25", "binary answer (BSON)", bytes(b"42")),
            "column 'answer' is BSON",
        ),
    ] {
        assert!(found.contains(part), "{found}");
    }
}

/// Elsewhere an answer is what Python makes of the value: str() of it.
#[test]
fn answers_as_python_shows_them() {
    let fixed = |bytes: &[u8]| FixedLenByteArray::from(bytes.to_vec());
    for (found, text) in [
        (
            truth::<Int32Type>("plain", "int32 answer (DECIMAL(9, 2))", 4250),
            "42.50",
        ),
        (
            truth::<Int32Type>("plain", "int32 answer (DECIMAL(9, 1))", 420),
            "42.0",
        ),
        (
            truth::<Int32Type>("plain", "int32 answer (DATE)", 20_786),
            "2026-11-29",
        ),
        (
            truth::<Int64Type>("plain", "int64 answer (UINT_64)", -1),
            "18446744073709551615",
        ),
        (
            truth::<FixedLenByteArrayType>(
                "plain",
                "fixed_len_byte_array(16) answer (UUID)",
                fixed(&[0xab; 16]),
            ),
            "abababab-abab-abab-abab-abababababab",
        ),
    ] {
        assert_eq!(found, text);
    }
}
