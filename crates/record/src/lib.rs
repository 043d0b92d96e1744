//! The record of a run: a row a sample and a line a second, written beside the run, read by everything that looks at one.
//!
//! Owns: the format, its writer with its thread ([`begin`]), its readers ([`Record`], [`Follower`]), and the latencies,
//! percentiles and early stopping of rows as LoadGen defines them. Knows no LoadGen, no engine and no page, and prints
//! nothing. Nothing that happens to a record is a fault of its run: the writer has no errors, only rows that it lost and a
//! reason.
//!
//! # The files, version 1
//!
//! `samples.journal`, while the run goes on and after a run that was killed: a header of 16 bytes (`OSSMARKJ`, the version as
//! u32, the CRC-32 of both), then frames (length as u32, CRC-32, payload), all little-endian; rows of 56 bytes in order of
//! completion. Its writer has it locked (`flock`), which is how readers know that a run goes on; the last frame says that
//! the record was closed. Rows are in the file at most half a second after they were sent, so that a process that is killed
//! loses no more; nothing is forced to the disk while the run goes on.
//!
//! `samples.parquet`, made of it at the end: one row a sample in order of issue, the columns of [`Row`] (`request` u64,
//! `sample_index`, `prompt_tokens`, `output_tokens` u32, the four times i64 and nullable, `end` text, `engine` u16), zstd. Its
//! metadata has `ossmark.record.version`, `ossmark.record.lost` and, if it ended before the run, `ossmark.record.reason`. The
//! journal is removed once it is whole under its name.
//!
//! `timeline.jsonl`: a [`Second`] a line.
//!
//! # What it costs
//!
//! In the run's process: 6 MiB for the rows on their way, 56 bytes a sample in the journal, some 500 bytes a second in the
//! timeline, and at the end, while `samples.parquet` is made, 88 bytes of memory a sample and half of that again while they
//! are sorted. Readers hold 88 bytes a sample. A record holds [`MAX_ROWS`] rows; further ones count as lost.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

mod ahead;
mod columns;
mod counters;
pub mod early_stopping;
mod error;
mod follower;
mod frame;
mod journal;
mod percentile;
mod process;
mod record;
mod row;
mod scan;
mod second;
mod shared;
mod state;
mod table;
mod timeline;
mod whole;
mod worker;
mod writer;

pub use counters::{Counters, Limits};
pub use error::Error;
pub use follower::{Follower, News};
/// A GPU at one second.
pub use ossmark_protocol::DeviceFigures as Gpu;
pub use percentile::{over, percentile};
pub use process::processor_time;
pub use record::Record;
pub use row::{End, Row};
pub use second::{Second, Server};
pub use shared::Outcome;
pub use state::{Damage, State};
pub use timeline::Timeline;
pub use whole::write;
pub use writer::{Recorder, Settings, Writer, begin};

/// The version of the format that is written and read.
pub const VERSION: u32 = 1;
/// The most rows of a record: four times the samples of the longest run that is known (72 accelerators at some 900 samples/s
/// for 20 minutes).
pub const MAX_ROWS: u64 = 1 << 22;

/// The rows of a record that has ended.
pub const SAMPLES: &str = "samples.parquet";
/// The rows of a record that goes on, or was cut.
pub const JOURNAL: &str = "samples.journal";
/// The seconds of a record.
pub const TIMELINE: &str = "timeline.jsonl";

#[cfg(test)]
mod tests;
