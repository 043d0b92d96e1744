//! What people look at of a run: its figures, a page of one or several, what differs between two, and a list of many.
//!
//! Owns: which figures there are and what they are made of, the page, its plots, the comparison's statistics. Reads run
//! directories through `crates/record` and `crates/logs` ([`read()`]); everything after that is pure. Knows no LoadGen, no
//! engine, writes no file and prints nothing. Any thread.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

mod bootstrap;
mod chart;
mod compare;
mod curve;
mod figures;
mod lengths;
mod limit;
mod list;
mod metric;
pub mod number;
mod page;
mod peak;
mod prompts;
mod read;
mod run;
mod said;
mod steady;
mod summary;
mod windows;

pub use ossmark_record::early_stopping;

pub use compare::{Compared, Comparison, FLOOR, Setting, Units, compare};
pub use curve::{Curve, CurvePoint, Spread};
pub use figures::{Distribution, Figures, Slow};
pub use lengths::Lengths;
pub use limit::{Kind, Limit};
pub use list::runs;
pub use page::{curve_page, page, peak_page};
pub use peak::{Peak, PeakRun};
pub use prompts::Prompts;
pub use read::{Depth, NoRun, is_run, read};
pub use run::{Completeness, Hashed, Log, Run};
pub use said::{Fault, LoadgenSaid, Verdict};
pub use steady::{Part, RULE, steady};
pub use summary::Summary;
pub use windows::{Window, Windows, duration_s};

#[cfg(test)]
mod test_rows;
