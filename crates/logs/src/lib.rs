//! Readers for the logs that MLCommons' LoadGen writes, the `:::MLLOG` detail log and the summary, and for the lines of the
//! configuration files that it reads.
//!
//! Owns what a line means. Does not own LoadGen (`crates/loadgen` builds it; this package needs no C++), nor what makes a
//! run valid or official. Plain functions over files and bytes; any thread.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

pub mod config;
pub mod detail_log;
mod error;
pub mod summary;
mod sut_name;

pub use error::Error;
pub use sut_name::Drafting;

/// LoadGen's summary, for people.
pub const SUMMARY: &str = "mlperf_log_summary.txt";
/// LoadGen's detail log: settings, results, errors.
pub const DETAIL: &str = "mlperf_log_detail.txt";
/// The answers of an accuracy or compliance run.
pub const ACCURACY: &str = "mlperf_log_accuracy.json";
