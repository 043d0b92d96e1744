//! The package's integration tests, one binary.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]

mod cells;
mod common;
mod pickles;
mod reading;
mod refusing;
mod shards;
