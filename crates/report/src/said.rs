//! `verdict.json`, of whatever version of ossmark: what is missing is empty.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What `verdict.json` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// `valid` or `invalid`.
    pub verdict: Option<String>,
    /// `official` or `test`.
    pub settings: Option<String>,
    /// How the run differs from what the round asks for.
    pub deviations: Vec<String>,
    /// Why the run is not valid.
    pub reasons: Vec<String>,
    /// What LoadGen said.
    pub loadgen: LoadgenSaid,
    /// What the harness saw go wrong.
    pub faults: Vec<Fault>,
    /// The scenario's name.
    pub scenario: Option<String>,
    /// The mode's name.
    pub mode: Option<String>,
    /// Figures.
    pub metrics: Map<String, Value>,
    /// Whether the run was ended before LoadGen could close its logs.
    pub interrupted: bool,
    /// SHA-256 of the run's files.
    pub files: BTreeMap<String, String>,
}

/// What LoadGen said.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LoadgenSaid {
    /// `VALID` or `INVALID`; none in accuracy mode.
    pub result: Option<String>,
    /// Errors.
    pub errors: u64,
    /// Warnings.
    pub warnings: u64,
}

/// A kind of fault.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Fault {
    /// Its name.
    pub kind: String,
    /// What happened the first time.
    pub message: String,
    /// How often it happened.
    pub count: u64,
    /// The first samples that it happened to.
    pub samples: Vec<u64>,
}
