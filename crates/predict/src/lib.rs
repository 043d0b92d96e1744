//! What a LoadGen run will issue, and when, from its settings and seeds: the same generators and distributions as LoadGen
//! 6.0.17 built with GNU's C++ library. Pure; knows no engine and no files.
//!
//! A performance run loads one set of samples and issues it whole as often as its count and duration ask for; in Server each
//! query is due at a time of its own, in Offline all samples are one query. Source: `loadgen.cc` (GenerateLoadableSets,
//! GenerateQueries), `test_settings_internal.cc`.

mod random;
mod schedule;

pub use schedule::{Plan, Query, Seeds, offline, server};
