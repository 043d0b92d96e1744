//! Submissions of gpt-oss-120b to MLPerf Inference: checking anybody's tree, verifying compliance runs, truncating
//! accuracy logs, building and packing.
//!
//! Owns the reading of submission trees, which come from strangers: any bytes in any shape give a report, never a panic, a
//! hang or unbounded memory. Does not own LoadGen, the engine, or the rules' numbers (`crates/rules` reads them from
//! `mlperf_conf/`). Plain functions; any thread.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]
#![forbid(unsafe_code)]

pub mod audit;
pub mod build;
pub mod check;
mod error;
mod finding;
mod log;
pub mod pack;
mod python;
mod tree;
pub mod truncate;

pub use error::Error;
pub use finding::{Finding, Rule, Severity, catalog};
