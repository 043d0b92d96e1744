use std::path::PathBuf;
use std::time::Duration;

use arrow_schema::{DataType as ArrowType, Field, Schema, TimeUnit};
use ossmark_dataset::{ARROW_KEY, Cell, Dataset, encode_arrow};
use parquet::basic::CompressionCodec;
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{FixedLenByteArray, FixedLenByteArrayType, Int96, Int96Type};
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue};
use parquet::file::properties::WriterVersion;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::schema::parser::parse_message_type;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{Answer, Outcome};
use ossmark_files::IfExists;

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/perf.parquet")
}

fn tokens(row: u32, pass: u32) -> Vec<u32> {
    (0..row % 5 + pass).collect()
}

/// A journal with every answer.
fn answered(tmp: &TempDir, rows: u32, passes: u32) -> Journal {
    let path = tmp.path().join("j");
    let (mut journal, _) = Journal::open(&path, &json!({}), rows, passes).unwrap();
    for row in 0..rows {
        for pass in 0..passes {
            let result = Ok(Answer {
                tokens: tokens(row, pass),
                cut: false,
                took: Duration::from_millis(1500),
            });
            let outcome = Outcome {
                row,
                pass,
                times: None,
                result,
            };
            journal.record(&[outcome]).unwrap();
        }
    }
    journal
}

fn check_answers(table: &Table, rows: u32, passes: u32) {
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
}

/// Claims `output`, writes it and returns what was left out.
fn write(
    output: &Path,
    source: &Path,
    journal: &Journal,
    decode: &dyn Fn(&[u32]) -> String,
) -> Result<Vec<String>> {
    let mut claim = Claim::new(output, IfExists::Replace).unwrap();
    write_output(&mut claim, source, journal, decode).map(|(left_out, _)| left_out)
}

/// Writes a data set by the same means, then answers beside it, and reads both back.
#[test]
fn the_file_holds_the_data_set_and_every_answer() {
    let tmp = tempfile::tempdir().unwrap();
    let source = demo();
    let dataset = Dataset::open(&source).unwrap();
    let (rows, passes) = (dataset.len() as u32, 2);
    let journal = answered(&tmp, rows, passes);
    let output = tmp.path().join("out.parquet");
    let left_out = write(&output, &source, &journal, &|ids| format!("{ids:?}")).unwrap();
    assert!(left_out.is_empty(), "{left_out:?}");

    let table = Table::open(&output).unwrap();
    let (before, after) = (Table::open(&source).unwrap(), &table);
    for column in ["dataset", "ground_truth", "question"] {
        assert_eq!(before.cells(column).unwrap(), after.cells(column).unwrap());
    }
    assert_eq!(
        before.tokens("tok_input").unwrap(),
        after.tokens("tok_input").unwrap()
    );
    check_answers(&table, rows, passes);
    // Nothing temporary is left.
    assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 2);
}

#[test]
fn an_open_request_is_no_output() {
    let tmp = tempfile::tempdir().unwrap();
    let rows = Dataset::open(&demo()).unwrap().len() as u32;
    let (journal, _) = Journal::open(&tmp.path().join("j"), &json!({}), rows, 1).unwrap();
    let output = tmp.path().join("out.parquet");
    let error = write(&output, &demo(), &journal, &|_| String::new()).unwrap_err();
    assert!(error.to_string().contains("row 0, pass 0"), "{error}");
    assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 1);
}

#[test]
fn a_data_set_that_has_changed_is_no_output() {
    let tmp = tempfile::tempdir().unwrap();
    let journal = answered(&tmp, 3, 1);
    let output = tmp.path().join("out.parquet");
    let error = write(&output, &demo(), &journal, &|_| String::new()).unwrap_err();
    assert!(
        error.to_string().contains("3 rows were answered"),
        "{error}"
    );
}

/// Everything that a column may be: no type is decoded on its way.
const FIELDS: &str = "
    optional group input_tokens (LIST) { repeated group list { optional int32 element; } }
    optional int32 day (DATE);
    optional int32 price (DECIMAL(9, 2));
    optional int64 wide (UINT_64);
    optional int64 at (TIMESTAMP(MICROS, true));
    optional int64 span;
    optional fixed_len_byte_array(16) uuid (UUID);
    optional fixed_len_byte_array(12) gap (INTERVAL);
    optional int96 old;
    optional binary blob;
    optional int32 nothing (UNKNOWN);
    optional group tags (LIST) { repeated group list { optional binary element (STRING); } }
    optional group map (MAP) { repeated group key_value { required binary key (STRING); optional int32 value; } }
    optional group one { optional int32 a; }
    optional group two { optional int32 a; optional binary b (STRING); }
    optional group messages (LIST) { repeated group list { optional group element { optional binary role (STRING); } } }
    optional binary model_output_0 (STRING);
    optional int32 odd;";

/// Two rows of each, written in the order of the leaves.
fn group(group: &mut Group<'_>) {
    let text = |texts: [&str; 2]| texts.map(ByteArray::from);
    let fixed = |bytes: [&[u8]; 2]| bytes.map(|b| FixedLenByteArray::from(b.to_vec()));
    put::<Int32Type>(group, &[1, 2, 3], &[3, 3, 3], Some(&[0, 1, 0]));
    put::<Int32Type>(group, &[20_786], &[1, 0], None);
    put::<Int32Type>(group, &[4250, -1], &[1, 1], None);
    put::<Int64Type>(group, &[-1, 7], &[1, 1], None);
    put::<Int64Type>(group, &[0, 1], &[1, 1], None);
    put::<Int64Type>(group, &[86_400_000_000, 1], &[1, 1], None);
    put::<FixedLenByteArrayType>(group, &fixed([&[0xff; 16], &[7; 16]]), &[1, 1], None);
    put::<FixedLenByteArrayType>(group, &fixed([&[1; 12], &[2; 12]]), &[1, 1], None);
    put::<Int96Type>(group, &[Int96::from(vec![1, 2, 2_440_588])], &[0, 1], None);
    put::<ByteArrayType>(group, &[ByteArray::from(vec![0xff])], &[1, 0], None);
    put::<Int32Type>(group, &[], &[0, 0], None);
    put::<ByteArrayType>(group, &text(["a", "b"]), &[3, 3, 0], Some(&[0, 1, 0]));
    put::<ByteArrayType>(group, &text(["k", "l"]), &[2, 2], Some(&[0, 0]));
    put::<Int32Type>(group, &[5], &[3, 2], Some(&[0, 0]));
    put::<Int32Type>(group, &[1], &[2, 1], None);
    put::<Int32Type>(group, &[1], &[2, 0], None);
    put::<ByteArrayType>(group, &[ByteArray::from("x")], &[2, 0], None);
    put::<ByteArrayType>(group, &text(["user", "bot"]), &[4, 4, 1], Some(&[0, 1, 0]));
    put::<ByteArrayType>(group, &text(["old", "older"]), &[1, 1], None);
}

fn put<T: DataType>(group: &mut Group<'_>, values: &[T::T], defs: &[i16], reps: Option<&[i16]>) {
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<T>()
        .write_batch(values, Some(defs), reps)
        .unwrap();
    column.close().unwrap();
}

/// The last column: bytes that nobody can read, in a codec that nobody here has.
fn odd(group: &mut Group<'_>, schema: &parquet::schema::types::SchemaDescriptor) {
    let bytes = bytes::Bytes::from_static(b"LZO, or so they say");
    let last = schema.columns().last().unwrap();
    let metadata = ColumnChunkMetaData::builder(last.clone())
        .set_compression_codec(CompressionCodec::LZO)
        .set_num_values(2)
        .set_total_compressed_size(bytes.len() as i64)
        .set_total_uncompressed_size(100)
        .set_data_page_offset(0)
        .build()
        .unwrap();
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: 2,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    group.append_column(&bytes, close).unwrap();
}

/// Arrow's types of [`FIELDS`], some of which parquet does not have.
fn arrow() -> Schema {
    let root = parse_message_type(&format!("message m {{ {FIELDS} }}")).unwrap();
    let fields = root.get_fields().iter().map(|field| {
        let kind = match field.name() {
            "span" => ArrowType::Duration(TimeUnit::Microsecond),
            "at" => ArrowType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into())),
            "blob" => ArrowType::LargeBinary,
            _ => ArrowType::Null,
        };
        Field::new(field.name(), kind, true)
    });
    let notes = std::collections::HashMap::from([("from".to_owned(), "nobody".to_owned())]);
    Schema::new_with_metadata(fields.collect::<Vec<_>>(), notes)
}

/// Three row groups of two rows each.
fn everything(path: &Path, notes: Vec<KeyValue>, version: WriterVersion) {
    let schema = Arc::new(parse_message_type(&format!("message odd_name {{ {FIELDS} }}")).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(Compression::BROTLI(Default::default()))
        .set_writer_version(version)
        .set_key_value_metadata(Some(notes))
        .build();
    let file = BufWriter::new(File::create(path).unwrap());
    let mut writer = SerializedFileWriter::new(file, schema.clone(), properties.into()).unwrap();
    let leaves = parquet::schema::types::SchemaDescriptor::new(schema);
    for _ in 0..3 {
        let mut rows = writer.next_row_group().unwrap();
        group(&mut rows);
        odd(&mut rows, &leaves);
        rows.close().unwrap();
    }
    writer.close().unwrap();
}

/// All rows of the columns in `fields`, in words.
fn rows(path: &Path, fields: Vec<TypePtr>) -> Vec<String> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let name = reader
        .metadata()
        .file_metadata()
        .schema_descr()
        .name()
        .to_owned();
    let projection = Type::group_type_builder(&name).with_fields(fields).build();
    let rows = reader.get_row_iter(Some(projection.unwrap())).unwrap();
    rows.map(|row| row.unwrap().to_string()).collect()
}

use parquet::schema::types::{Type, TypePtr};

#[test]
fn every_column_is_passed_on_as_it_is() {
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        let tmp = tempfile::tempdir().unwrap();
        let (source, output) = (
            tmp.path().join("in.parquet"),
            tmp.path().join("out.parquet"),
        );
        let notes = vec![
            KeyValue::new("pandas".into(), "{\"columns\": []}".to_owned()),
            KeyValue::new(ARROW_KEY.into(), encode_arrow(&arrow())),
            KeyValue::new("empty".into(), None),
        ];
        everything(&source, notes.clone(), version);
        let journal = answered(&tmp, 6, 2);
        let left_out = write(&output, &source, &journal, &|ids| format!("{ids:?}")).unwrap();
        assert_eq!(left_out.len(), 1, "{left_out:?}");
        assert!(left_out[0].contains("'model_output_0'"), "{left_out:?}");

        let (before, after) = (Table::open(&source).unwrap(), Table::open(&output).unwrap());
        check_answers(&after, 6, 2);
        let fields = |table: &Table| {
            let schema = table.metadata().file_metadata().schema_descr();
            schema.root_schema().get_fields().to_vec()
        };
        let mut kept = fields(&before);
        kept.retain(|field| field.name() != "model_output_0");
        assert_eq!(fields(&after)[..kept.len()], kept);
        assert_eq!(fields(&after).len(), kept.len() + 8);

        // All columns by their bytes, and those that the parquet crate's rows know by their values.
        let bytes = |table: &Table, at: usize| {
            let groups = table.metadata().row_groups().iter();
            let chunks = groups.map(|group| {
                let (start, end) = table.extent(group.column(at)).unwrap();
                table
                    .file()
                    .get_bytes(start, (end - start) as usize)
                    .unwrap()
            });
            chunks.collect::<Vec<_>>()
        };
        let leaves = before.metadata().row_group(0).num_columns();
        // The last but one is left out.
        for leaf in 0..leaves - 2 {
            assert_eq!(bytes(&before, leaf), bytes(&after, leaf), "leaf {leaf}");
        }
        assert_eq!(bytes(&before, leaves - 1), bytes(&after, leaves - 2));
        assert_eq!(bytes(&after, leaves - 2).len(), 3);
        let odd = kept.pop().unwrap();
        assert_eq!(odd.name(), "odd");
        kept.retain(|field| !["nothing", "gap"].contains(&field.name()));
        let before_rows = rows(&source, kept.clone());
        assert_eq!((before_rows.len(), &before_rows), (6, &rows(&output, kept)));
        assert!(before_rows[0].contains("user") && before_rows[0].contains("42.50"));

        // Notes: all as they were, but arrow's, which names the columns that there are now.
        let found = after
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .unwrap();
        for note in notes.iter().filter(|note| note.key != ARROW_KEY) {
            assert!(found.contains(note), "{note:?}");
        }
        let types = after.arrow_schema().unwrap().unwrap();
        assert!(types.fields().iter().map(|f| f.name()).eq(after.columns()));
        for field in arrow()
            .fields()
            .iter()
            .filter(|f| f.name() != "model_output_0")
        {
            assert_eq!(types.field_with_name(field.name()).unwrap(), &**field);
        }
        assert_eq!(types.metadata(), arrow().metadata());
    }
}

#[test]
fn a_note_of_other_types_is_named() {
    let tmp = tempfile::tempdir().unwrap();
    let (source, output) = (
        tmp.path().join("in.parquet"),
        tmp.path().join("out.parquet"),
    );
    let journal = answered(&tmp, 6, 1);
    let other = encode_arrow(&Schema::new(vec![Field::new("x", ArrowType::Int8, true)]));
    for note in ["bm9uc2Vuc2U=".to_owned(), "%".into(), other] {
        let notes = vec![KeyValue::new(ARROW_KEY.into(), note)];
        everything(&source, notes, WriterVersion::PARQUET_1_0);
        let left_out = write(&output, &source, &journal, &|_| String::new()).unwrap();
        assert_eq!(left_out.len(), 2, "{left_out:?}");
        assert!(
            left_out[1].contains("arrow's types is left out"),
            "{left_out:?}"
        );
        assert!(Table::open(&output).unwrap().arrow_schema().is_none());
    }
}
