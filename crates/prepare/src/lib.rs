//! Benchmark data sets from their publishers' files.
//!
//! Owns: recipes, reading AIME, GPQA, LiveCodeBench and plain question files, prompt templates as data, shuffling, rendering
//! and tokenising in parallel, the parquet file and its manifest as bytes. Does not own: Harmony (`crates/harmony`), where
//! files are put and what is overwritten (the command), downloading. Input files are from strangers: every complaint names
//! file and line.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]
#![forbid(unsafe_code)]

mod error;
mod manifest;
mod prepare;
mod question;
mod recipe;
mod row;
mod shuffle;
mod source;
mod template;
mod write;

pub use error::{Error, RecordPosition};
pub use manifest::{FileEntry, Manifest, OutputEntry, SourceEntry, TokenizerEntry};
pub use prepare::{Prepared, Request, Step, prepare};
pub use recipe::{Recipe, SourceRecipe};
pub use row::Row;
pub use template::{Reader, Template, Templates};

/// Shorthand for results of this package.
pub type Result<T, E = Error> = std::result::Result<T, E>;
