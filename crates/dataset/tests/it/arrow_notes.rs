//! Types that parquet has not and arrow notes beside its plain integers: what they mean is not their integer.

use arrow_schema::{DataType, Field, IntervalUnit, Schema, TimeUnit};
use ossmark_dataset::{ARROW_KEY, Dataset, Error, Table, encode_arrow};
use parquet::file::metadata::KeyValue;
use std::{path::Path, sync::Arc};
use tempfile::tempdir;

use crate::common::{Leaf, PANDAS, PLAIN, write_noted};

fn note(column: &str, of: DataType) -> Vec<KeyValue> {
    let schema = Schema::new(vec![Field::new(column, of, true)]);
    vec![KeyValue::new(ARROW_KEY.to_owned(), encode_arrow(&schema))]
}

fn list(path: &Path, bits: u32, of: DataType) {
    let (defs, reps) = (vec![3, 3, 3], vec![0, 1, 0]);
    let leaf = match bits {
        32 => Leaf::I32(vec![7, 8, 9], defs, reps),
        _ => Leaf::I64(vec![7, 8, 9], defs, reps),
    };
    let fields = PANDAS.replace("int32", &format!("int{bits}"));
    write_noted(
        path,
        &fields,
        &[vec![leaf]],
        PLAIN,
        note("input_tokens", of),
    );
}

fn plain(path: &Path, bits: u32, of: DataType) {
    let defs = vec![1, 1];
    let leaf = match bits {
        32 => Leaf::I32(vec![7, 8], defs, vec![]),
        _ => Leaf::I64(vec![7, 8], defs, vec![]),
    };
    let fields = format!("optional int{bits} x;");
    write_noted(path, &fields, &[vec![leaf]], PLAIN, note("x", of));
}

fn every_list(of: &DataType) -> Vec<DataType> {
    let field = || Arc::new(Field::new("element", of.clone(), true));
    vec![
        DataType::List(field()),
        DataType::LargeList(field()),
        DataType::ListView(field()),
        DataType::LargeListView(field()),
        DataType::FixedSizeList(field(), 2),
    ]
}

#[test]
fn times_that_only_arrow_knows_are_refused_by_name() {
    use DataType::{Date32, Date64, Duration, Interval, Time32, Time64, Timestamp};
    let units = [
        TimeUnit::Second,
        TimeUnit::Millisecond,
        TimeUnit::Microsecond,
        TimeUnit::Nanosecond,
    ];
    let mut types = vec![
        (32, Date32, "DATE (INT32"),
        (64, Date64, "DATE (INT64"),
        (32, Time32(TimeUnit::Second), "TIME (INT32"),
        (64, Time64(TimeUnit::Nanosecond), "TIME (INT64"),
        (32, Interval(IntervalUnit::YearMonth), "INTERVAL (INT32"),
    ];
    for unit in units {
        types.push((64, Duration(unit), "DURATION (INT64"));
        types.push((64, Timestamp(unit, None), "TIMESTAMP (INT64"));
        types.push((64, Timestamp(unit, Some("UTC".into())), "TIMESTAMP (INT64"));
    }
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    for (bits, of, name) in types {
        for of in every_list(&of) {
            list(&path, bits, of);
            let error = Dataset::open(&path).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, Error::ColumnType { .. }), "{text}");
            assert!(
                text.contains(&format!("a list of {name}, by arrow's note)")),
                "{text}"
            );
        }
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(of.clone()));
        for of in [of, dictionary] {
            plain(&path, bits, of);
            let table = Table::open(&path).unwrap();
            for error in [table.text("x").unwrap_err(), table.cells("x").unwrap_err()] {
                let text = error.to_string();
                assert!(text.contains(name), "{text}");
            }
        }
    }
}

#[test]
fn notes_of_integers_and_of_other_columns_change_nothing() {
    use DataType::{Duration, Int8, Int64, Null, UInt16, UInt32};
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    for of in [Int8, Int64, UInt16, UInt32, Null] {
        for of in every_list(&of) {
            list(&path, 64, of);
            assert_eq!(*Dataset::open(&path).unwrap().prompts[0], [7, 8]);
        }
        plain(&path, 32, of);
        let texts = Table::open(&path).unwrap().text("x").unwrap();
        assert_eq!(texts[1].as_deref(), Some("8"));
    }
    let leaf = || Leaf::I64(vec![7, 8], vec![1, 1], vec![]);
    let other = note("y", Duration(TimeUnit::Second));
    write_noted(&path, "optional int64 x;", &[vec![leaf()]], PLAIN, other);
    assert!(Table::open(&path).unwrap().text("x").is_ok());
    // Where parquet says itself what it is, that counts.
    let stamped = "optional int64 x (TIMESTAMP(MILLIS, true));";
    let same = note(
        "x",
        DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
    );
    write_noted(&path, stamped, &[vec![leaf()]], PLAIN, same);
    let texts = Table::open(&path).unwrap().text("x").unwrap();
    assert!(
        texts[0].as_deref().unwrap().starts_with("1970-01-01"),
        "{texts:?}"
    );
}

/// What a list holds that is no integer is named in the words of the format.
#[test]
fn lists_of_what_parquet_itself_calls_otherwise() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    for (annotation, bits, name) in [
        ("DECIMAL(9, 1)", 32, "DECIMAL with 1 decimals (INT32)"),
        ("DECIMAL(18, 2)", 64, "DECIMAL with 2 decimals (INT64)"),
        ("DATE", 32, "DATE (INT32)"),
        ("TIME(MILLIS, true)", 32, "TIME (INT32)"),
        ("TIME(MICROS, true)", 64, "TIME (INT64)"),
        ("TIMESTAMP(NANOS, false)", 64, "TIMESTAMP (INT64)"),
    ] {
        let fields = PANDAS.replace(
            "int32 element",
            &format!("int{bits} element ({annotation})"),
        );
        let (defs, reps) = (vec![3, 3], vec![0, 1]);
        let leaf = match bits {
            32 => Leaf::I32(vec![7, 8], defs, reps),
            _ => Leaf::I64(vec![7, 8], defs, reps),
        };
        write_noted(&path, &fields, &[vec![leaf]], PLAIN, Vec::new());
        let text = Dataset::open(&path).unwrap_err().to_string();
        assert!(text.contains(&format!("a list of {name}")), "{text}");
        assert!(!text.contains("{ "), "{text}");
    }
}
