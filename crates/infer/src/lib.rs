//! What `ossmark infer` keeps: a journal of answers that survives being killed, and the parquet file made from it.
//!
//! Owns: both files' formats. Does not own: who answers, or the text of tokens, which the caller decodes. One thread at a
//! time; nothing here blocks on anything but the disk.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

mod clock;
mod error;
mod journal;
mod outcome;
mod output;

pub use clock::Clock;
pub use error::Error;
pub use journal::{Journal, Resumed};
pub use outcome::{Answer, End, Ended, Failure, Outcome, Times};
pub use output::write_output;

/// Shorthand for results of this package.
pub type Result<T> = std::result::Result<T, Error>;
