//! One way to a data frame's columns, whatever file it is in. Owns the choice, by the file's first bytes, and the refusal of
//! pickles without permission.

use std::{io::Read, path::Path, sync::Arc};

use crate::{Cell, Error, Result, Tables, pickle::PickleFrame};

/// A parquet file (or several that are one table), or a pandas DataFrame in a pickle that is read as plain data: nothing in it
/// is run.
pub struct Frame(Kind);

enum Kind {
    Parquet(Tables),
    Pickle(PickleFrame),
}

impl Frame {
    /// Opens a file by what it is, not by what it is called.
    pub fn open(path: &Path, allow_pickle: bool) -> Result<Self> {
        let mut head = [0; 2];
        let begun = ossmark_files::open(path).and_then(|mut file| file.read_exact(&mut head));
        // Protocol 2 and later begin with 0x80 and the protocol's number; pandas has written those since Python 3. Files that
        // cannot be read or are shorter are left to Tables, which says what is wrong.
        match (begun.is_ok() && matches!(head, [0x80, 2..=5]), allow_pickle) {
            (true, true) => PickleFrame::open(path).map(|frame| Self(Kind::Pickle(frame))),
            (true, false) => Err(Error::PickleNotAllowed {
                path: path.to_owned(),
            }),
            (false, _) => Tables::open(path).map(|table| Self(Kind::Parquet(table))),
        }
    }

    /// The columns' names, in the file's order.
    pub fn columns(&self) -> &[String] {
        match &self.0 {
            Kind::Parquet(table) => table.columns(),
            Kind::Pickle(frame) => frame.columns(),
        }
    }

    /// The number of rows. A column that turns out otherwise is an error when it is read.
    pub fn rows(&self) -> usize {
        match &self.0 {
            Kind::Parquet(table) => table.rows(),
            Kind::Pickle(frame) => frame.rows(),
        }
    }

    /// Reads a column of texts, numbers or booleans as the reference's scorer does.
    pub fn cells(&self, column: &str) -> Result<Vec<Cell>> {
        match &self.0 {
            Kind::Parquet(table) => table.cells(column),
            Kind::Pickle(frame) => frame.cells(column),
        }
    }

    /// Reads a column of lists of token ids; every row must hold at least one.
    pub fn tokens(&self, column: &str) -> Result<Vec<Arc<[u32]>>> {
        match &self.0 {
            Kind::Parquet(table) => table.tokens(column),
            Kind::Pickle(frame) => frame.tokens(column),
        }
    }
}
