//! Only what is asked for is decoded: a column that nobody needs may be of any type, in any codec, and broken. Columns that
//! are no plain values are refused by what they are.

use std::{
    fs::{self, File},
    path::Path,
};

use ossmark_dataset::{Dataset, Error, Table};
use parquet::{
    basic::{Compression, CompressionCodec},
    column::writer::ColumnCloseResult,
    file::{
        metadata::ColumnChunkMetaData,
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
        writer::SerializedFileWriter,
    },
};
use tempfile::tempdir;

use crate::common::{Encoding, Leaf, PANDAS, PLAIN, text, three_level, write};

const JUNK: &str = "optional binary id; optional fixed_len_byte_array(16) question_id (UUID);
    optional int64 text_input (UINT_64); optional int32 ground_truth (DECIMAL(9, 1));
    optional fixed_len_byte_array(12) reasoning_effort (INTERVAL);
    optional group prompt (MAP) { repeated group key_value { required int32 key; optional int32 value; } }";

/// A data set whose columns are all there and all of a type that nothing can be done with, but for the names.
fn junk(path: &Path) {
    let fields = format!("{PANDAS} optional binary dataset (STRING); {JUNK}");
    let group = vec![
        three_level(&[vec![1], vec![2, 3]]),
        text(&["aime25", "gpqa"]),
        Leaf::Bytes(vec![vec![0xff], vec![0xfe]], vec![1, 1]),
        Leaf::Fixed(vec![vec![0xff; 16]; 2], vec![1, 1]),
        Leaf::I64(vec![-1, -2], vec![1, 1], vec![]),
        Leaf::I32(vec![420, 421], vec![1, 1], vec![]),
        Leaf::Fixed(vec![vec![0xff; 12]; 2], vec![1, 1]),
        Leaf::I32(vec![1, 2], vec![2, 2], vec![0, 0]),
        Leaf::I32(vec![1, 2], vec![3, 3], vec![0, 0]),
    ];
    write(path, &fields, &[group], PLAIN);
}

#[test]
fn columns_that_nobody_needs() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    junk(&path);
    let data = Dataset::open(&path).unwrap();
    assert_eq!((data.len(), data.cell("dataset", 1)), (2, Some("gpqa")));
    assert_eq!(
        data.text_columns,
        ["dataset", "ground_truth", "text_input", "id", "question_id"]
    );
    let data = Dataset::open_with(&path, &["ground_truth", "question_id", "none"]).unwrap();
    assert_eq!(data.cell("ground_truth", 0), Some("42.0"));
    assert_eq!(data.cell("none", 0), None);
    let error = Dataset::open_with(&path, &["reasoning_effort"]).unwrap_err();
    assert!(error.to_string().contains("INTERVAL"), "{error}");
}

/// The names only tell which of the benchmark's files it is.
#[test]
fn names_that_are_none() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    let fields = format!("{PANDAS} required group dataset {{ required int32 a; }}");
    let group = vec![three_level(&[vec![1]]), Leaf::I32(vec![1], vec![], vec![])];
    write(&path, &fields, &[group], PLAIN);
    let data = Dataset::open(&path).unwrap();
    assert!(data.rows_by_name().is_empty() && data.text_columns.is_empty());
    assert!(Dataset::open_with(&path, &["dataset"]).is_err());
}

/// The pages of every other column overwritten: they are never looked at.
#[test]
fn broken_columns_that_nobody_needs() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    junk(&path);
    let mut bytes = fs::read(&path).unwrap();
    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    for column in &reader.metadata().row_group(0).columns()[2..] {
        let (at, length) = column.byte_range();
        bytes[at as usize..(at + length) as usize].fill(0xff);
    }
    fs::write(&path, &bytes).unwrap();
    assert_eq!(Dataset::open(&path).unwrap().len(), 2);
    let error = Dataset::open_with(&path, &["ground_truth"]).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

/// Writes `path` anew, with column `marked` said to be in a codec that it is not in.
fn claim_codec(path: &Path, marked: usize, codec: CompressionCodec) {
    let source = File::open(path).unwrap();
    let reader = SerializedFileReader::new(source.try_clone().unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr();
    let copy = path.with_extension("copy");
    let mut writer = SerializedFileWriter::new(
        File::create(&copy).unwrap(),
        schema.root_schema_ptr(),
        WriterProperties::builder().build().into(),
    )
    .unwrap();
    let from = reader.metadata().row_group(0);
    let mut group = writer.next_row_group().unwrap();
    for (number, chunk) in from.columns().iter().enumerate() {
        let metadata = ColumnChunkMetaData::builder(chunk.column_descr_ptr())
            .set_compression_codec(if number == marked {
                codec
            } else {
                chunk.compression_codec()
            })
            .set_encodings_mask(*chunk.encodings_mask())
            .set_num_values(chunk.num_values())
            .set_total_compressed_size(chunk.compressed_size())
            .set_total_uncompressed_size(chunk.uncompressed_size())
            .set_data_page_offset(chunk.data_page_offset())
            .build()
            .unwrap();
        let close = ColumnCloseResult {
            bytes_written: chunk.compressed_size() as u64,
            rows_written: from.num_rows() as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        group.append_column(&source, close).unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    fs::rename(&copy, path).unwrap();
}

#[test]
fn a_codec_that_is_not_there_is_named() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    junk(&path);
    claim_codec(&path, 5, CompressionCodec::LZO);
    assert_eq!(Dataset::open(&path).unwrap().len(), 2);
    let error = Dataset::open_with(&path, &["ground_truth"]).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Unsupported { .. }), "{text}");
    for part in [
        "'ground_truth' is compressed with LZO",
        "BROTLI",
        "write the file again",
    ] {
        assert!(text.contains(part) && !text.contains("corrupt"), "{text}");
    }
    junk(&path);
    claim_codec(&path, 0, CompressionCodec::LZO);
    let error = Dataset::open(&path).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

/// The footer's codec number 0 replaced by one that no version of the format has yet.
#[test]
fn a_codec_of_the_future_is_named() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    write(&path, PANDAS, &[vec![three_level(&[vec![1]])]], PLAIN);
    let file = fs::read(&path).unwrap();
    let named = (4..file.len()).any(|at| {
        let mut bytes = file.clone();
        // 42, as Thrift writes it.
        bytes[at] = 84;
        fs::write(&path, &bytes).unwrap();
        Dataset::open(&path).is_err_and(|error| {
            let named = error.to_string().contains("CompressionCodec number 42");
            named && matches!(error, Error::Unsupported { .. })
        })
    });
    assert!(named);
}

#[test]
fn brotli() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    let encoding = Encoding {
        compression: Compression::BROTLI(Default::default()),
        ..PLAIN
    };
    let rows = vec![vec![7; 5000]; 40];
    write(&path, PANDAS, &[vec![three_level(&rows)]], encoding);
    assert_eq!(Dataset::open(&path).unwrap().len(), 40);
}

/// What has one leaf and is neither a plain value nor a list of them, and what has several.
#[test]
fn shapes_are_refused_by_name() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    let one = |defs: i16, rep: bool| {
        let reps = if rep { vec![0] } else { vec![] };
        Leaf::I32(vec![1], vec![defs], reps)
    };
    for (fields, leaf, name) in [
        (
            "optional group x { optional int32 a; }",
            one(2, false),
            "a structure",
        ),
        (PANDAS, one(3, true), "a list"),
        ("repeated int32 x;", one(1, true), "repeated INT32"),
        (
            "optional group x (MAP) { repeated group key_value { required int32 key; } }",
            one(2, true),
            "MAP",
        ),
    ] {
        let fields = fields.replace("input_tokens", "x");
        write(&path, &fields, &[vec![leaf]], PLAIN);
        let table = Table::open(&path).unwrap();
        assert!(!table.is_text("x"), "{fields}");
        let text = table.text("x").unwrap_err().to_string();
        assert!(text.contains(&format!("'x' is {name}")), "{text}");
    }
    for (fields, leaf) in [
        ("optional group x { repeated int32 a; }", one(2, true)),
        (
            "optional group x (MAP) { repeated group key_value { required int32 key; } }",
            one(2, true),
        ),
        (
            "optional group x (LIST) { repeated group array { required int32 a; } }",
            one(2, true),
        ),
        (
            "optional group x (LIST) { repeated group x_tuple { required int32 a; } }",
            one(2, true),
        ),
        (
            "optional group x (LIST) { repeated group list { optional group element { required int32 a; } } }",
            one(3, true),
        ),
        (
            "optional group x (LIST) { repeated group list { optional int32 element (DATE); } }",
            one(3, true),
        ),
        (
            "optional group x (LIST) { repeated group list { optional int32 element (DECIMAL(5, 1)); } }",
            one(3, true),
        ),
    ] {
        write(&path, fields, &[vec![leaf]], PLAIN);
        let error = Table::open(&path).unwrap().tokens("x").unwrap_err();
        assert!(
            matches!(error, Error::ColumnType { .. }),
            "{fields}: {error}"
        );
    }
}

#[test]
fn tokens_of_every_integer() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    for (kind, wide) in [
        ("int32 element (INT_8)", false),
        ("int32 element (UINT_8)", false),
        ("int32 element (UINT_16)", false),
        ("int32 element (UINT_32)", false),
        ("int64 element (UINT_64)", true),
        ("int64 element (INTEGER(64, true))", true),
    ] {
        let fields = PANDAS.replace("int32 element", kind);
        let leaf = match wide {
            true => Leaf::I64(vec![5, 100], vec![3, 3], vec![0, 1]),
            false => Leaf::I32(vec![5, 100], vec![3, 3], vec![0, 1]),
        };
        write(&path, &fields, &[vec![leaf]], PLAIN);
        assert_eq!(
            *Dataset::open(&path).unwrap().prompts[0],
            [5, 100],
            "{kind}"
        );
    }
    for (kind, leaf, value) in [
        (
            "int32 element (UINT_32)",
            Leaf::I32(vec![-1], vec![3], vec![0]),
            u64::from(u32::MAX),
        ),
        (
            "int64 element (UINT_64)",
            Leaf::I64(vec![-1], vec![3], vec![0]),
            u64::MAX,
        ),
    ] {
        let fields = PANDAS.replace("int32 element", kind);
        write(&path, &fields, &[vec![leaf]], PLAIN);
        let error = Dataset::open(&path).unwrap_err();
        assert!(
            error.to_string().contains(&format!("is {value}, expected")),
            "{error}"
        );
    }
}
