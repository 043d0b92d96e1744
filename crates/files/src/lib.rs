//! What every package does with files and texts that come from outside.
//!
//! Owned here: opening a file without hanging on what is no file ([`open`]), and showing a text that somebody else wrote
//! without its control characters reaching a terminal, a log or a page ([`Escaped`]). Knows no format and prints nothing.

mod brief;
mod escape;
mod open;

pub use brief::Brief;
pub use escape::Escaped;
pub use open::{open, read, read_to_string};
