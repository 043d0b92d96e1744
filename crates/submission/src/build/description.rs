//! The TOML description of a submission, as typed.

use std::path::PathBuf;

use ossmark_rules::Scenario;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// As the directory is to be named.
    pub submitter: String,
    /// closed, open, network.
    pub division: String,
    /// What was run on.
    pub system: SystemDescription,
    /// measurements.json, the same for all scenarios.
    pub measurements: Map<String, Value>,
    /// Files and directories with the code that talks to LoadGen.
    #[serde(default)]
    pub source: Vec<PathBuf>,
    /// Texts for the documents.
    pub documents: Documents,
    /// One for each scenario.
    #[serde(default, rename = "result")]
    pub results: Vec<ResultDescription>,
}

/// A system.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemDescription {
    /// As the directory is to be named.
    pub name: String,
    /// The system description; what is left out is taken from the runs where they know it.
    #[serde(default)]
    pub description: Map<String, Value>,
}

/// What the templates cannot know.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Documents {
    /// How the weights were quantised, and with what data.
    pub calibration: String,
    /// How the bandwidth between LoadGen's host and the accelerators was measured or derived.
    pub bandwidth: String,
    /// How to repeat the runs, beyond the commands.
    #[serde(default)]
    pub readme: String,
}

/// The four runs of a scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultDescription {
    /// offline, server, interactive.
    pub scenario: String,
    /// Directory of the performance run.
    pub performance: PathBuf,
    /// Directory of the accuracy run.
    pub accuracy: PathBuf,
    /// The scorer's output, where it is not accuracy.txt in the accuracy run's directory.
    pub accuracy_txt: Option<PathBuf>,
    /// The directory TEST07 that `ossmark audit` wrote.
    pub test07: Option<PathBuf>,
    /// The directory TEST09 that `ossmark audit` wrote.
    pub test09: Option<PathBuf>,
}

pub(super) fn scenario(name: &str) -> Option<Scenario> {
    match name {
        "offline" => Some(Scenario::Offline),
        "server" => Some(Scenario::Server),
        "interactive" => Some(Scenario::Interactive),
        _ => None,
    }
}

/// The name of a scenario's directory.
pub(super) fn folder(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Offline => "Offline",
        Scenario::Server => "Server",
        Scenario::Interactive => "Interactive",
    }
}
