//! A column on its way into memory, within limits.

use super::error::{Error, Result};
use crate::Cell;

/// Cells and how much text is in them: one text in the file may be named by every row.
#[derive(Default)]
pub(super) struct Cells {
    pub(super) cells: Vec<Cell>,
    bytes: u64,
}

impl Cells {
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn push(&mut self, cell: Cell) -> Result<()> {
        if let Cell::Text(text) = &cell {
            self.bytes += text.len() as u64;
        }
        if self.bytes > super::MAX_FILE || self.cells.len() >= super::MAX_OBJECTS as usize {
            return Err(Error::Large);
        }
        self.cells.push(cell);
        Ok(())
    }
}
