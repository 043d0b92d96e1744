//! Benchmark data sets: parquet (and, where it is allowed, pickle) in, typed rows out, fingerprints.
//!
//! Owns: opening a file that nobody vouches for, prompts as shared token lists, text columns, token statistics, and
//! two fingerprints. Does not own: tokenising text, what the rows mean to a benchmark, LoadGen's sample library.
//! Everything is plain data after [`Dataset::open`]; any thread may read it.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

mod arrow;
mod cell;
mod codec;
mod columns;
mod dataset;
mod datetime;
mod decimal;
mod error;
mod fingerprint;
mod frame;
mod guard;
mod header;
mod kind;
mod levels;
mod pages;
mod pickle;
mod python_floats;
mod scalars;
mod shards;
mod stats;
mod table;
mod text;
mod text_file;
mod tokens;
mod value_type;

pub use arrow::{ARROW_KEY, encode_arrow};
pub use cell::Cell;
pub use dataset::{Dataset, TEXT_COLUMNS, TOKEN_COLUMNS};
pub use decimal::Decimal;
pub use error::Error;
pub use fingerprint::{content_sha256, file_sha256};
pub use frame::Frame;
pub use shards::{Tables, files};
pub use stats::{Bin, TokenStats, histogram};
pub use table::Table;
pub use text::TextColumn;
pub use text_file::{RecordPosition, TextFile};

/// Shorthand for results of this package.
pub type Result<T, E = Error> = std::result::Result<T, E>;
