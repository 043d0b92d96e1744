//! Text columns, and a cell's text. Numbers are accepted because `ground_truth` is an integer in some published files and text
//! in others.

use ossmark_python::float_repr;

use crate::{Cell, Result, scalars, table::Table};

/// A column as text; a null is None.
pub type TextColumn = Vec<Option<String>>;

pub(crate) fn read(table: &Table, column: &str) -> Result<TextColumn> {
    let cells = scalars::cells(table, column)?;
    Ok(cells.into_iter().map(text).collect())
}

/// `str` of it in Python; a null is None.
pub(crate) fn text(cell: Cell) -> Option<String> {
    match cell {
        Cell::Null => None,
        Cell::Text(text) => Some(text),
        Cell::Int(value) => Some(value.to_string()),
        Cell::Unsigned(value) => Some(value.to_string()),
        Cell::Float(value) => Some(float_repr(value)),
        // With its decimals, as Python does, but never with an exponent.
        Cell::Decimal(value) => Some(value.plain()),
        Cell::Bool(value) => Some(if value { "True" } else { "False" }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each beside what `str` gives in Python 3.11.
    #[test]
    fn cells_are_written_as_python_writes_them() {
        for (cell, python) in [
            (Cell::Null, None),
            (Cell::Text("a".into()), Some("a")),
            (Cell::Int(-7), Some("-7")),
            (Cell::Unsigned(u64::MAX), Some("18446744073709551615")),
            (Cell::Float(12.0), Some("12.0")),
            (Cell::Float(1e16), Some("1e+16")),
            (Cell::Float(1.5e-5), Some("1.5e-05")),
            (
                Cell::Float(123_456_789_012_345_680.0),
                Some("1.2345678901234568e+17"),
            ),
            (Cell::Float(-0.0), Some("-0.0")),
            (Cell::Float(f64::INFINITY), Some("inf")),
            (Cell::Float(f64::NEG_INFINITY), Some("-inf")),
            (Cell::float32(0.1), Some("0.1")),
            (Cell::Bool(true), Some("True")),
            (Cell::Bool(false), Some("False")),
        ] {
            assert_eq!(text(cell).as_deref(), python);
        }
    }
}
