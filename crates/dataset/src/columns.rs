//! A table's columns, read as what they are needed for: tokens, text, or cells.

use std::sync::Arc;

use crate::{
    Cell, Result,
    guard::guard,
    scalars,
    table::Table,
    text::{self, TextColumn},
    tokens,
};

impl Table {
    /// Reads a column of lists of token ids; every row must hold at least one.
    pub fn tokens(&self, column: &str) -> Result<Vec<Arc<[u32]>>> {
        guard(self.path(), || tokens::read(self, column))
    }

    /// Reads a column of texts, numbers or booleans as text, in which rows may be null.
    pub fn text(&self, column: &str) -> Result<TextColumn> {
        guard(self.path(), || text::read(self, column))
    }

    /// Reads a column of texts, numbers or booleans as `pandas.read_parquet` does: integers with gaps become floats, unless
    /// pandas noted in the file that the column has a type with gaps of its own.
    pub fn cells(&self, column: &str) -> Result<Vec<Cell>> {
        guard(self.path(), || scalars::pandas_cells(self, column))
    }

    /// Whether [`Table::text`] reads columns of this one's type.
    pub fn is_text(&self, column: &str) -> bool {
        scalars::value_type_of(self, column).is_ok()
    }
}
