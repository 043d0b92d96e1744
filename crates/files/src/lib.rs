//! What every package does with files and texts that come from outside, and with files that it leaves.
//!
//! Owned here: opening a file without hanging on what is no file ([`open()`]); showing a text that somebody else wrote without
//! its control characters reaching a terminal, a log or a page ([`Escaped`]); claiming what will be written, so that two
//! processes never share it, and writing it whole ([`Claim`], [`Directory`], [`StagedDirectory`], [`write_all`]). clippy.toml
//! forbids the standard library's ways outside tests. Knows no format and prints nothing.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

mod aside;
mod brief;
mod claim;
mod directory;
mod escape;
mod open;
mod part;
mod planned;
mod stream;

pub use aside::move_aside;
pub use brief::Brief;
pub use claim::{Claim, IfExists, append_line, copy_whole, create_new, write_whole};
pub use directory::{Directory, StagedDirectory, make_directories};
pub use escape::{Escaped, quiet_json};
pub use open::{open, open_to_append, read, read_to_string, without_mark};
pub use part::{abandon_parts, is_part};
pub use planned::{Planned, WriteFailed, write_all};
pub use stream::is_stdout;

#[cfg(test)]
mod tests;
