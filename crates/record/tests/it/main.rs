//! The record as its users see it: written by one process, read by others.
#![allow(
    clippy::disallowed_methods,
    reason = "tests open and damage what they made"
)]

mod child;
mod damaged;
mod disk;
mod golden;
mod kill;
mod run;
