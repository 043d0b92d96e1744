//! The package's integration tests, one binary.

mod bombs;
mod cells;
mod columns;
mod common;
mod matrix;
mod pickles;
mod reading;
mod refusing;
