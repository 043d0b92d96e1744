//! Integration tests of the package, one binary. The fixtures are a made-up submission, changes to it, and what MLCommons'
//! own checker said to each (`fixtures/README.md`).
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a test says"
)]

mod build;
mod client;
mod common;
mod holes;
mod official;
mod order;
mod plan;
mod robust;
mod steady_state;
