//! What an auditor holds a result of gpt-oss-120b against: statistics of its logs, records and answers ([`anomalies`]), the
//! machine against its description ([`fingerprint`]), a run made again against the one that was handed in ([`reproduce`]),
//! answers to changed prompts and of a changed model ([`perturb`]), the chain of hashes from checkpoint to score ([`chain`]),
//! and the page of it all ([`page`]).
//!
//! Owns what is compared and what it means. Gives no verdict: what is odd is a note or a question ([`Level`]). Reads logs and
//! trees, which come from strangers: any bytes in any shape give a report, never a panic, a hang or unbounded memory. Starts
//! no run, asks no machine, writes no file and prints nothing. Any thread.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

pub mod anomalies;
pub mod chain;
mod field;
mod finding;
pub mod fingerprint;
mod kind;
mod logged;
pub mod page;
pub mod perturb;
mod read;
pub mod reproduce;
mod results;
mod scores;
mod stated;
mod statistics;

pub use finding::{Finding, Findings, Level};
pub use kind::Kind;
pub use results::{Place, results};
pub use stated::{NotStated, Stated};

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is called a tree is none.
    #[error(
        "{}: {found}, expected the directory that holds closed/, open/ or network/",
        ossmark_files::Escaped::path(path)
    )]
    NotATree {
        /// What was given.
        path: std::path::PathBuf,
        /// What is there instead.
        found: &'static str,
    },
    /// There is no result below a directory.
    #[error(
        "{}: found no result, expected <division>/<submitter>/results/<system>/gpt-oss-120b/<scenario> below it; give the directory that holds closed/, open/ or network/",
        ossmark_files::Escaped::path(.0)
    )]
    NoResult(std::path::PathBuf),
}
