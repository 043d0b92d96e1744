//! Typed cells equal what pandas itself reads. `tests/fixtures/make.py` wrote the files and pandas' answers.

use std::{collections::BTreeMap, path::PathBuf};

use ossmark_dataset::{Cell, Error, Result, Table};
use serde_json::Value;
use tempfile::tempdir;

use crate::common::{Leaf, PLAIN, write};

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn cell(value: &Value) -> Option<Cell> {
    match value {
        Value::Null => Some(Cell::Null),
        Value::Bool(value) => Some(Cell::Bool(*value)),
        Value::String(text) => Some(Cell::Text(text.clone())),
        Value::Number(n) if n.is_f64() => n.as_f64().map(Cell::Float),
        Value::Number(n) => n.as_i64().map(Cell::Int),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Compares every column that pandas listed; a column of anything else must be refused as such.
pub(crate) fn compare(expected: &str, cells: impl Fn(&str) -> Result<Vec<Cell>>) -> usize {
    let json = std::fs::read_to_string(fixture(expected)).unwrap();
    let columns: BTreeMap<String, Vec<Value>> = serde_json::from_str(&json).unwrap();
    for (name, values) in &columns {
        match values.iter().map(cell).collect::<Option<Vec<_>>>() {
            Some(values) => assert_eq!(cells(name).unwrap(), values, "{name}"),
            // The text that str() gives of pandas' object.
            None if cells(name).is_ok() => {
                let first = Cell::Text("2026-11-23 00:00:00".into());
                assert_eq!((name.as_str(), &cells(name).unwrap()[0]), ("time", &first));
            }
            None => {
                let error = cells(name).unwrap_err();
                let refused = matches!(error, Error::ColumnType { .. } | Error::BadCell { .. });
                assert!(refused && error.to_string().contains(name), "{error}");
            }
        }
    }
    columns.len()
}

#[test]
fn parquet_cells_are_those_of_pandas() {
    let table = Table::open(&fixture("cells.parquet")).unwrap();
    assert_eq!(
        compare("cells.parquet.json", |name| table.cells(name)),
        table.columns().len()
    );
    assert!(table.columns().len() > 20);
}

/// Files that pandas did not write have no notes beside the schema.
#[test]
fn cells_without_notes_from_pandas() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    let fields = "optional int64 gaps; optional int64 full; optional int64 unsigned (UINT_64); required int32 day (DATE);
                  optional binary bytes; optional int32 small (UINT_32);";
    let group = vec![
        Leaf::I64(vec![7], vec![1, 0], vec![]),
        Leaf::I64(vec![7, 8], vec![1, 1], vec![]),
        Leaf::I64(vec![1, -1], vec![1, 1], vec![]),
        Leaf::I32(vec![1, 2], vec![], vec![]),
        Leaf::Bytes(vec!["a".into(), "b".into()], vec![1, 1]),
        Leaf::I32(vec![1, -1], vec![1, 1], vec![]),
    ];
    write(&path, fields, &[group], PLAIN);
    let table = Table::open(&path).unwrap();
    let cells = |name| table.cells(name).unwrap();
    assert_eq!(cells("gaps"), [Cell::Float(7.0), Cell::Null]);
    assert_eq!(cells("full"), [Cell::Int(7), Cell::Int(8)]);
    assert_eq!(cells("small"), [Cell::Int(1), Cell::Int(4294967295)]);
    assert_eq!(cells("unsigned"), [Cell::Int(1), Cell::Unsigned(u64::MAX)]);
    assert_eq!(cells("day")[1], Cell::Text("1970-01-03".into()));
    for (name, part) in [
        (
            "bytes",
            "column 'bytes' is BYTE_ARRAY that is not marked as text",
        ),
        ("none", "no column 'none'"),
    ] {
        let message = table.cells(name).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}
