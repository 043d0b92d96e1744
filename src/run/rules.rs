//! How a run differs from what its round asks for.
//!
//! Owns the facts of a run; the comparison is in [`check`]. Does not own the rules (`crates/rules` reads them), nor whether
//! the run was valid: a run with deviations may be valid, it only may not be submitted. Pure; any thread.

mod check;
mod dataset;

use std::collections::BTreeMap;

pub(crate) use check::deviations;
pub(crate) use dataset::OfficialFile;
pub(crate) use ossmark_rules::{Mode, ModelFacts, RoundRules, Rules, Scenario, Sourced, rules};
use serde::Serialize;
use serde_json::Value;

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EngineName {
    Cpu,
    Cuda,
    Echo,
    /// Servers that somebody else runs: what they compute with is not seen.
    Http,
}

/// Which compliance test an audit configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Audit {
    #[serde(rename = "TEST07")]
    Test07,
    #[serde(rename = "TEST09")]
    Test09,
    /// None that gpt-oss-120b has.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Audit {
    /// Known by the thresholds that it carries for the verification.
    pub(crate) fn of(audit_config: &str) -> Self {
        let sets = |key: &str| {
            audit_config
                .lines()
                .any(|l| !l.trim_start().starts_with('#') && l.contains(&format!(".{key}")))
        };
        match (sets("test07_"), sets("test09_")) {
            (true, false) => Self::Test07,
            (false, true) => Self::Test09,
            _ => Self::Unknown,
        }
    }
}

/// How tokens were drafted: greedily, one after the other.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SpeculationFacts {
    /// Of the head's tensors.
    pub(crate) tensors_sha256: String,
    /// What the submitter says the head is.
    pub(crate) revision: Option<String>,
    /// Tokens drafted at a time.
    pub(crate) steps: u32,
}

/// What was done, as far as the rules care.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RunFacts {
    /// `v6.1`, `v6.0`.
    pub(crate) round: String,
    pub(crate) scenario: Scenario,
    pub(crate) mode: Mode,
    /// `effective_*` and `requested_*` as in LoadGen's detail log. Other keys are not looked at.
    pub(crate) settings: BTreeMap<String, Value>,
    /// Rows of the data set that the library offers.
    pub(crate) dataset_rows: u64,
    pub(crate) engine: EngineName,
    /// None where it is unknown: an answer from elsewhere, or scripted.
    pub(crate) model: Option<ModelFacts>,
    pub(crate) temperature: f64,
    pub(crate) top_p: f64,
    /// 0 is off.
    pub(crate) top_k: u32,
    pub(crate) max_new_tokens: u32,
    /// The generator behind the sampler.
    pub(crate) prng: String,
    /// Numerics of the activations.
    pub(crate) dtype: String,
    /// Made up instead of given: "weights", "prompts".
    pub(crate) synthetic: Vec<String>,
    /// None: every token was decoded by itself.
    pub(crate) speculation: Option<SpeculationFacts>,
    pub(crate) audit: Option<Audit>,
    pub(crate) loadgen_version: String,
    /// LoadGen was compiled from the sdist whose sha256 is pinned, without changes.
    pub(crate) loadgen_is_pinned: bool,
}

#[cfg(test)]
mod tests;
