//! The accuracy score of gpt-oss-120b, equal to the reference's in every verdict.
//!
//! The package exists so that an auditor can build the scorer without LoadGen and without the engine. Owns: reading
//! accuracy logs, extraction and grading per data set, LiveCodeBench in a sandbox, the report. Does not own: turning tokens
//! back into text (`crates/harmony`), math500's algebra (`crates/math500`), the command line. Everything here is plain data or
//! blocking calls; any thread may use it.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

mod answers;
mod code;
mod entry;
mod error;
mod findings;
#[cfg(test)]
mod fuzz;
pub mod grade;
#[allow(
    clippy::disallowed_methods,
    reason = "the sandbox makes its own directories"
)]
pub mod lcb;
mod log;
mod passes;
mod plausible;
mod reference;
mod report;
mod resume;

pub use answers::{Answer, Answers, Program, Source, read_log};
pub use code::{CodeProgress, CodeRun};
pub use entry::{Entry, RawEntry, Row};
pub use error::Error;
pub use findings::{Finding, Findings};
pub use log::LogReader;
pub use passes::{PassSummary, Passes, read_passes};
pub use reference::{DatasetKind, Reference};
pub use report::{Component, Report, Summary, Tally};

/// Shorthand for results of this package.
pub type Result<T, E = Error> = std::result::Result<T, E>;
