//! What every package does with files and texts that come from outside.
//!
//! Owned here: opening a file without hanging on what is no file ([`open`]; clippy.toml forbids the standard library's ways
//! outside tests), and showing a text that somebody else wrote
//! without its control characters reaching a terminal, a log or a page ([`Escaped`]). Knows no format and prints nothing.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

mod escape;
mod open;

pub use escape::Escaped;
pub use open::{copy, open, open_to_append, read, read_to_string, without_mark};
