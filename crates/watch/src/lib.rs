//! A run that goes on, followed through its record: from another terminal, begun and ended at any time.
//!
//! Owns: what is known of the run now ([`Watched`]), what of it is shown ([`view()`], pure), and how ([`lines`], [`text`],
//! [`draw()`]). Reads the record, `run_plan.json` and `verdict.json`, and nothing else: no LoadGen, no engine. Opens no
//! terminal and prints nothing; whatever is from outside is escaped where a view is made. Any thread.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

mod draw;
mod expected;
mod figures;
mod line;
mod pace;
mod so_far;
mod view;
mod watched;

pub use draw::{draw, lines, text};
pub use line::{Line, Tone};
pub use view::{Progress, View, view};
pub use watched::Watched;

#[cfg(test)]
mod tests;
