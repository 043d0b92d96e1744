//! Columns of plain values, as typed cells.
//!
//! Memory: the cells, of whose text there is at most [`budget`], and [`crate::pages`]' pages.

use std::str;

use half::f16;
use num_bigint::BigInt;
use parquet::{
    basic::Type as Physical,
    data_type::{
        BoolType, ByteArrayType, DataType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type,
        Int64Type, Int96Type,
    },
};

use crate::{
    Cell, Decimal, Error, Result,
    cell::floats_if_gaps,
    datetime,
    pages::{BYTE_ARRAYS_AT_A_TIME, allowance},
    table::Table,
    value_type::{ValueType, value_type},
};

const MAX_ROWS: u64 = 1 << 24;
/// The longest text. The longest of any benchmark's, the tests of a LiveCodeBench problem, are some tens of megabytes.
const MAX_VALUE: u64 = 256 << 20;
/// Bytes of a column's text, whatever the file's size.
const MAX_BYTES: u64 = 1 << 32;
const NUMBERS_AT_A_TIME: usize = 1024;
const EXPECTED: &str = "text, a number, a boolean, a date, a time or a UUID";

/// Bytes of text that a column may hold: a dictionary's entry of a megabyte may be named by millions of rows.
fn budget(file_bytes: u64) -> u64 {
    allowance(file_bytes).clamp(256 << 20, MAX_BYTES)
}

/// The column as `pandas.read_parquet` gives it.
pub(crate) fn pandas_cells(table: &Table, column: &str) -> Result<Vec<Cell>> {
    if let (_, ValueType::Bytes) = value_type_of(table, column)? {
        let found = "BYTE_ARRAY that is not marked as text".into();
        return Err(table.column_type(column, found, EXPECTED));
    }
    let cells = cells(table, column)?;
    Ok(match table.keeps_integers(column) {
        true => cells,
        false => floats_if_gaps(cells),
    })
}

/// The leaf of a column of plain values, and what they mean; refuses everything else by its name.
pub(crate) fn value_type_of(table: &Table, column: &str) -> Result<(usize, ValueType)> {
    let (number, leaf) = table.scalar_leaf(column, EXPECTED)?;
    if let Some(arrow) = table.arrow_only(column) {
        return Err(table.column_type(column, arrow, EXPECTED));
    }
    let value_type =
        value_type(leaf).map_err(|found| table.column_type(column, found, EXPECTED))?;
    Ok((number, value_type))
}

/// The column as it is in the file; bytes count as text if they are UTF-8.
pub(crate) fn cells(table: &Table, column: &str) -> Result<Vec<Cell>> {
    let (number, value_type) = value_type_of(table, column)?;
    let mut reader = Reader {
        table,
        column,
        number,
        value_type,
        rows: Vec::new(),
        bytes: 0,
    };
    match table.scalar_leaf(column, EXPECTED)?.1.physical_type() {
        Physical::BYTE_ARRAY => reader.decode::<ByteArrayType>(|r, v| r.of_bytes(v.data())),
        Physical::FIXED_LEN_BYTE_ARRAY => {
            reader.decode::<FixedLenByteArrayType>(|r, v| r.of_bytes(v.data()))
        }
        Physical::INT32 => reader.decode::<Int32Type>(|r, &v| r.of_integer(v.into())),
        Physical::INT64 => reader.decode::<Int64Type>(|r, &v| r.of_integer(v)),
        Physical::INT96 => reader.decode::<Int96Type>(|r, v| {
            r.of_datetime(datetime::int96(v.data()), || format!("{:?}", v.data()))
        }),
        Physical::BOOLEAN => reader.decode::<BoolType>(|_, &v| Ok(Cell::Bool(v))),
        Physical::FLOAT => reader.decode::<FloatType>(|_, &v| Ok(Cell::float32(v))),
        Physical::DOUBLE => reader.decode::<DoubleType>(|_, &v| Ok(Cell::float(v))),
    }?;
    Ok(reader.rows)
}

struct Reader<'a> {
    table: &'a Table,
    column: &'a str,
    number: usize,
    value_type: ValueType,
    rows: Vec<Cell>,
    /// Of text, so far.
    bytes: u64,
}

impl Reader<'_> {
    fn decode<T: DataType>(&mut self, cell: impl Fn(&Self, &T::T) -> Result<Cell>) -> Result<()> {
        let (table, column) = (self.table, self.column);
        let present = table.scalar_leaf(column, EXPECTED)?.1.max_def_level();
        let at_a_time = match T::get_physical_type() {
            Physical::BYTE_ARRAY => BYTE_ARRAYS_AT_A_TIME,
            _ => NUMBERS_AT_A_TIME,
        };
        let budget = budget(table.file_bytes());
        let (mut defs, mut values) = (Vec::new(), Vec::new());
        for group in table.readers::<T>(column, self.number, MAX_ROWS) {
            let (mut reader, group) = group?;
            let before = self.rows.len();
            loop {
                defs.clear();
                values.clear();
                let (read, ..) = reader
                    .read_records(at_a_time, Some(&mut defs), None, &mut values)
                    .map_err(|e| table.decoding(column, &e, "rows", MAX_ROWS))?;
                if read == 0 {
                    break;
                }
                if present == 0 {
                    defs.resize(read, 0);
                }
                let mut values = values.iter();
                for &def in &defs {
                    let value = (def == present).then(|| values.next()).flatten();
                    let cell = value.map_or(Ok(Cell::Null), |v| cell(self, v))?;
                    if let Cell::Text(text) = &cell {
                        self.bytes += text.len() as u64;
                    }
                    if self.bytes > budget {
                        return Err(table.too_large(column, "bytes of text", budget));
                    }
                    self.rows.push(cell);
                }
            }
            table.check_group(column, group, self.rows.len() - before)?;
        }
        Ok(())
    }

    fn of_bytes(&self, bytes: &[u8]) -> Result<Cell> {
        if bytes.len() as u64 > MAX_VALUE {
            return Err(self
                .table
                .too_large(self.column, "bytes in one value", MAX_VALUE));
        }
        match self.value_type {
            ValueType::Decimal { scale } => match Decimal::of_bytes(bytes, scale) {
                Some(number) => Ok(Cell::Decimal(number)),
                None => Err(self.bad(
                    format!("a DECIMAL of {} bytes", bytes.len()),
                    "one of 1 to 64 bytes",
                )),
            },
            ValueType::Uuid => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| hex.get(part));
                let parts = parts.map(Option::unwrap_or_default);
                Ok(Cell::Text(parts.join("-")))
            }
            ValueType::Half => Ok(half(bytes)),
            _ => match str::from_utf8(bytes) {
                Ok(text) => Ok(Cell::Text(text.to_owned())),
                Err(_) => Err(Error::NotUtf8 {
                    path: self.table.path().to_owned(),
                    column: self.column.into(),
                    row: self.rows.len(),
                }),
            },
        }
    }

    fn of_integer(&self, value: i64) -> Result<Cell> {
        let shown = || value.to_string();
        match self.value_type {
            ValueType::Integer { bits, signed } => {
                // Bits above the type's width mean nothing.
                let unused = 64 - bits;
                Ok(match signed {
                    true => Cell::Int(value << unused >> unused),
                    false => Cell::unsigned(value.cast_unsigned() << unused >> unused),
                })
            }
            ValueType::Decimal { scale } => {
                Ok(Cell::Decimal(Decimal::new(&BigInt::from(value), scale)))
            }
            ValueType::Date => {
                let days = i32::try_from(value).ok();
                self.of_datetime(days.and_then(datetime::date), shown)
            }
            ValueType::Time { per_second } => {
                self.of_datetime(datetime::time(value, per_second), shown)
            }
            ValueType::Timestamp { per_second, utc } => {
                self.of_datetime(datetime::timestamp(value, per_second, utc), shown)
            }
            _ => Ok(Cell::Int(value)),
        }
    }

    fn of_datetime(&self, text: Option<String>, found: impl Fn() -> String) -> Result<Cell> {
        match text {
            Some(text) => Ok(Cell::Text(text)),
            None => Err(self.bad(
                found(),
                "a date in the years 1 to 9999, or a time within a day",
            )),
        }
    }

    fn bad(&self, found: String, expected: &'static str) -> Error {
        Error::BadCell {
            path: self.table.path().to_owned(),
            column: self.column.into(),
            row: self.rows.len(),
            found,
            expected,
        }
    }
}

/// A binary16 as the float64 of the fewest decimals that give it, which NumPy shows.
fn half(bytes: &[u8]) -> Cell {
    let &[low, high] = bytes else {
        return Cell::Null;
    };
    let value = f16::from_le_bytes([low, high]);
    let wide = value.to_f32();
    let shortest = (0..5)
        .map(|decimals| format!("{wide:.decimals$e}"))
        .find(|text| text.parse().is_ok_and(|near| f16::from_f32(near) == value));
    match shortest.and_then(|text| text.parse().ok()) {
        Some(number) => Cell::float(number),
        None => Cell::float(wide.into()),
    }
}
