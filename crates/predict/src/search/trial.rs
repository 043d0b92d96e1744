//! What is looked for, and the runs that look for it.

use serde::{Deserialize, Serialize};

use crate::outcome::{Limits, Outcome};

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Short, of this `min_duration` in milliseconds and as many queries as that makes.
    Probe(u64),
    /// As the rules have it.
    Official,
}

/// Runs as the model has them.
pub trait Simulator {
    /// A run at this load and of this length, were everything `slower` times as slow as the model says.
    fn outcome(&self, target_qps: f64, length: Length, slower: f64) -> Outcome;
}

/// What is looked for, and with how many runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What runs are judged by.
    pub limits: Limits,
    /// The lowest `target_qps` that is looked at.
    pub lowest_qps: f64,
    /// The highest.
    pub highest_qps: f64,
    /// Runs of official length at most.
    pub official_runs: u32,
    /// Whether a load that passed is run again before it is called the highest.
    pub confirm: bool,
    /// Probes at most, and samples of each at least.
    pub probes: u32,
    /// See `probes`.
    pub probe_samples: u64,
    /// Probes end when the limit is known this well: the half width of its interval, as a share of it.
    pub precision: f64,
    /// No run is begun when those before took so many seconds; none: all the time that it takes.
    pub budget_s: Option<u64>,
}

/// A run that was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// From 0, in order.
    pub number: usize,
    /// Its load.
    pub target_qps: f64,
    /// Its length.
    pub length: Length,
}

/// A run that was made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Which.
    pub run: Run,
    /// What was measured.
    pub measured: Outcome,
    /// Whether it was VALID: by LoadGen's word where there is one.
    pub valid: bool,
    /// What the model said of it, as it was before any run.
    pub predicted: Outcome,
    /// By how much everything must be slower than in the model for what was measured, by the time to first token and by the
    /// time per token; none of a run that was ended before its time.
    pub slower: Option<[f64; 2]>,
    /// The highest load that passes at official length with a model that is slower by so much.
    pub highest_qps: Option<f64>,
}
