//! Text columns. Numbers are accepted because `ground_truth` is an integer in some published files and text in others.

use parquet::{
    basic::Type as Physical,
    data_type::{
        BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray,
        FixedLenByteArrayType, FloatType, Int32Type, Int64Type,
    },
    schema::types::ColumnDescriptor,
};

use crate::{Error, Result, table::Table};

/// A column as text; a null is None.
pub type TextColumn = Vec<Option<String>>;

const MAX_ROWS: u64 = 1 << 24;
const MAX_BYTES: u64 = 1 << 32;
const ROWS_AT_A_TIME: usize = 1024;

pub(crate) fn readable(leaf: &ColumnDescriptor) -> bool {
    leaf.max_rep_level() == 0 && leaf.physical_type() != Physical::INT96
}

pub(crate) fn read(table: &Table, column: &str) -> Result<TextColumn> {
    let (number, leaf) = table.leaf(column)?;
    if !readable(leaf) {
        let found = format!(
            "{}{}",
            leaf.physical_type(),
            if leaf.max_rep_level() > 0 {
                " in a list"
            } else {
                ""
            }
        );
        return Err(table.column_type(column, found, "text, a number or a boolean"));
    }
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok().map(Some);
    let rows = match leaf.physical_type() {
        Physical::BYTE_ARRAY => {
            decode::<ByteArrayType>(table, column, number, |v: &ByteArray| utf8(v.data()))
        }
        Physical::FIXED_LEN_BYTE_ARRAY => {
            decode::<FixedLenByteArrayType>(table, column, number, |v: &FixedLenByteArray| {
                utf8(v.data())
            })
        }
        Physical::INT32 => {
            decode::<Int32Type>(table, column, number, |v| Some(Some(v.to_string())))
        }
        Physical::INT64 => {
            decode::<Int64Type>(table, column, number, |v| Some(Some(v.to_string())))
        }
        Physical::BOOLEAN => {
            decode::<BoolType>(table, column, number, |v| Some(Some(v.to_string())))
        }
        // pandas keeps a column of numbers with gaps as floats, a gap being NaN; `{:?}` writes 12.0 as Python does.
        Physical::FLOAT => decode::<FloatType>(table, column, number, |v| {
            Some((!v.is_nan()).then(|| format!("{v:?}")))
        }),
        Physical::DOUBLE => decode::<DoubleType>(table, column, number, |v| {
            Some((!v.is_nan()).then(|| format!("{v:?}")))
        }),
        Physical::INT96 => unreachable!("refused above"),
    }?;
    table.check_rows(column, rows.len())?;
    Ok(rows)
}

/// `show` gives None for bytes that are no text, and Some(None) for a value that stands for a null.
fn decode<T: DataType>(
    table: &Table,
    column: &str,
    number: usize,
    show: impl Fn(&T::T) -> Option<Option<String>>,
) -> Result<TextColumn> {
    let present = table.leaf(column)?.1.max_def_level();
    let mut rows: TextColumn = Vec::new();
    let mut bytes = 0;
    let (mut defs, mut values) = (Vec::new(), Vec::new());
    for reader in table.readers::<T>(number, MAX_ROWS) {
        let mut reader = reader?;
        loop {
            defs.clear();
            values.clear();
            let (read, ..) = reader
                .read_records(ROWS_AT_A_TIME, Some(&mut defs), None, &mut values)
                .map_err(|e| table.decoding(column, &e, "rows", MAX_ROWS))?;
            if read == 0 {
                break;
            }
            if present == 0 {
                defs.resize(read, 0);
            }
            let mut values = values.iter();
            for &def in &defs {
                let row = rows.len();
                let text = match (def == present).then(|| values.next()).flatten().map(&show) {
                    None => None,
                    Some(Some(text)) => text,
                    Some(None) => {
                        return Err(Error::NotUtf8 {
                            path: table.path().to_owned(),
                            column: column.into(),
                            row,
                        });
                    }
                };
                // A dictionary entry of a megabyte may be named by millions of rows.
                bytes += text.as_ref().map_or(0, |t| t.len() as u64);
                if bytes > MAX_BYTES {
                    let (path, column) = (table.path().to_owned(), column.to_owned());
                    return Err(Error::TooLarge {
                        path,
                        column,
                        what: "bytes of text",
                        limit: MAX_BYTES,
                    });
                }
                rows.push(text);
            }
        }
    }
    Ok(rows)
}
