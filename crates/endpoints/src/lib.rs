//! MLPerf Endpoints v1.0 for gpt-oss-120b: its rules, and what can be said of a submission tree.
//!
//! Owns: the rules as data (`mlperf_conf/endpoints.toml`), regions, the readers of a tree's files as MLCommons' checker reads
//! them (pydantic's lax types, PyYAML's YAML 1.1, Python's JSON), its verdict and what it lets through; what follows from the
//! events of a run. Does not own: the load generator, engines, HTTP, tokenizers. Reads files and nothing else; every file is
//! untrusted: sizes, depths and numbers of files are bounded, and nothing waits for what is no regular file. Pure otherwise;
//! any thread.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

pub mod build;
pub mod check;
pub mod client;
mod curve;
mod error;
mod finding;
mod lax;
mod model;
mod order;
pub mod plan;
mod python;
mod regions;
pub mod rehearsal;
mod rules;
mod steady_state;
mod value;
mod yaml;
mod yaml_scalar;

pub use curve::curve;
pub use error::Error;
pub use finding::{Finding, Severity};
pub use order::{Draws, SampleOrder};
pub use regions::{Bounds, OutOfRange, Regions};
pub use rules::{Rule, Rules, SeedSet, rules};
pub use steady_state::{Sample, State, SteadyState, Window, steady_state};
