//! The package's integration tests, one binary.

mod common;
mod reading;
mod refusing;
