//! Integration tests of the package, one binary. The fixtures are the cases of the project's oracle: a complete submission
//! tree with real logs, edits of it, and what MLCommons' own checker said to each (mlcommons/inference b66003e1).
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a test says"
)]

mod building;
mod common;
mod compliance;
mod documents;
mod figures;
mod holes;
mod official;
mod originals;
mod packing;
mod records;
mod robust;
mod roots;
mod speculation;
mod truncation;
mod weighed;
