//! Everything that computes: the whole model and single operations, against references.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a test says"
)]

mod damaged;
mod demo;
mod drive;
mod golden;
mod ops;
mod paths;
mod probe;
mod reference;
mod shapes;
mod tiny;
