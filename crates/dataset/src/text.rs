//! Text columns. Numbers are accepted because `ground_truth` is an integer in some published files and text in others.

use crate::{Cell, Result, scalars, table::Table};

/// A column as text; a null is None.
pub type TextColumn = Vec<Option<String>>;

pub(crate) fn read(table: &Table, column: &str) -> Result<TextColumn> {
    let cells = scalars::cells(table, column)?;
    Ok(cells.into_iter().map(text).collect())
}

fn text(cell: Cell) -> Option<String> {
    match cell {
        Cell::Null => None,
        Cell::Text(text) => Some(text),
        Cell::Int(value) => Some(value.to_string()),
        Cell::Unsigned(value) => Some(value.to_string()),
        // `{:?}` writes 12.0 as Python does.
        Cell::Float(value) => Some(format!("{value:?}")),
        // With its decimals, as Python does, but never with an exponent.
        Cell::Decimal(value) => Some(value.plain()),
        Cell::Bool(value) => Some(value.to_string()),
    }
}
