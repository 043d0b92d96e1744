//! The package's integration tests, one binary.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]

mod arrow_notes;
mod bombs;
mod cells;
mod columns;
mod common;
mod matrix;
mod pickles;
mod reading;
mod refusing;
mod shards;
