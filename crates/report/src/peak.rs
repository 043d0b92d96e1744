//! A search for the highest load that passes, as its page shows it.

use serde::Serialize;

/// What was searched, and what came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Peak {
    /// Where it lies.
    pub title: String,
    /// What came of it.
    pub sentence: String,
    /// Whether something was found, as often as was asked for.
    pub is_found: bool,
    /// What has to be known before it is read.
    pub notices: Vec<String>,
    /// The load that was found, in queries a second.
    pub target_qps: Option<f64>,
    /// Where the true limit lies.
    pub interval: Option<[f64; 2]>,
    /// Limits in milliseconds, to the first token and per token; none in Offline.
    pub limits_ms: Option<[f64; 2]>,
    /// Each run, in order.
    pub runs: Vec<PeakRun>,
}

/// One run of a search.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PeakRun {
    /// Its folder.
    pub name: String,
    /// Its load.
    pub target_qps: f64,
    /// Samples that were issued.
    pub samples: u64,
    /// Until the last answer was whole.
    pub seconds: f64,
    /// VALID, INVALID, or why there is neither.
    pub result: String,
    /// Percentiles that the limits are on, in milliseconds: to the first token and per token.
    pub measured_ms: Option<[f64; 2]>,
    /// The same as the model had them before any run.
    pub predicted_ms: Option<[f64; 2]>,
    /// By how much everything must be slower than in the model for what was measured, by either latency.
    pub slower: Option<[f64; 2]>,
    /// The highest load that passes at official length, by this run.
    pub says_qps: Option<f64>,
}
