//! Whole measurements: sources that work, hang, lie or are not there, beside each other.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]

mod child;
mod fake;
mod sources;
