//! What a run by another client than MLCommons' leaves: the same files, each saying that it is a rehearsal.
//!
//! The log of events is all that a run keeps; everything else follows from it. It may be ended at any time, by kill -9 too:
//! [`Journal::open`] leaves in the log what an unbroken run would have had until then, and tells where to go on.

mod answers;
mod files;
mod journal;
mod lines;

pub use answers::{Answered, answers};
pub use files::{Point, write};
pub use journal::{Journal, Resumed};
pub use lines::{Pieces, Prompt};

/// In every file of a rehearsal.
pub const STAMP: &str =
    "A rehearsal, not measured with MLCommons' client: nothing of it may be submitted.";
