//! What MLCommons' client leaves of a run: its log of events, and the figures that follow from it.
//!
//! Formulas, percentiles and rounding are the client's (its metrics aggregator, August 2026), so that a summary can be held
//! against its log figure by figure, and a log of our own gets the summary that the client would have written. Facts: §4, §7.

mod audit;
mod config;
mod difference;
mod event;
mod log;
mod report_text;
mod rows;
mod samples;
mod series;
mod snapshot;
mod summary;

pub use audit::Audited;
pub(crate) use audit::audit;
pub(crate) use config::Config;
pub use event::{Answer, Event, Prompt};
pub(crate) use log::read as read_log;
pub(crate) use rows::bytes;
pub use samples::{CountTokens, Samples};
pub use series::{Number, Series};
pub use snapshot::Snapshot;
pub use summary::Summary;

/// The log of a run.
pub(crate) const EVENTS: &str = "events.jsonl";
