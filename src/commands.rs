//! The commands that are small enough for one file each.

pub(crate) mod audit;
pub(crate) mod auditor;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod confine;
pub(crate) mod dataset;
pub(crate) mod demo;
mod display;
pub(crate) mod doctor;
pub(crate) mod endpoints;
pub(crate) mod generate;
pub(crate) mod infer;
pub(crate) mod peak;
pub(crate) mod preflight;
pub(crate) mod prepare;
pub(crate) mod report;
pub(crate) mod runs;
pub(crate) mod score;
pub(crate) mod serve;
pub(crate) mod submission;
pub(crate) mod watch;
