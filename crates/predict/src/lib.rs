//! What a LoadGen run will issue, when, and what becomes of it. Pure; knows no engine and no files.
//!
//! What is issued ([`server`], [`offline`]) are the same generators and distributions as LoadGen 6.0.17's built with GNU's C++
//! library: a performance run loads one set of samples and issues it whole as often as its count and duration ask for; in
//! Server each query is due at a time of its own, in Offline all samples are one query. Source: `loadgen.cc`
//! (GenerateLoadableSets, GenerateQueries), `test_settings_internal.cc`.
//!
//! What becomes of it ([`simulate()`]) are the rows of a record, as a real run would have left them, from a [`System`] on a
//! virtual clock: [`Slots`] (so long an answer, whoever else is there), [`Batching`] (continuous batching, with the [`Model`]'s
//! seconds of a step). [`Outcome`] is what LoadGen says of such rows, [`forecast()`] how sure that is. [`Search`] finds the
//! highest load that passes, with few runs of official length.

mod batching;
mod forecast;
mod least_squares;
mod model;
mod outcome;
mod random;
mod schedule;
mod search;
mod simulate;
mod slots;

pub use batching::{Batching, Limits as BatchLimits};
pub use forecast::{Draw, Forecast, forecast};
pub use model::{Measured, Model, Step};
pub use outcome::{Limits, Outcome};
pub use schedule::{Plan, Query, Seeds, offline, server};
pub use search::{Ended, Found, Length, Next, Run, Search, Settings, Simulator, Trial};
pub use simulate::{Lengths, System, at_once, simulate};
pub use slots::{Service, Slots};
