//! The TOML description of a submission, as typed.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    pub(super) organisation: String,
    pub(super) submission: String,
    pub(super) division: String,
    pub(super) target_cohort: String,
    pub(super) seed_set: String,
    /// Of the folder in src/.
    pub(super) implementation: String,
    /// Files for that folder, a README.md among them.
    pub(super) source: Vec<PathBuf>,
    /// Files for docs/.
    pub(super) docs: Vec<PathBuf>,
    /// Put events and rows into the points' folders too.
    #[serde(default)]
    pub(super) events: bool,
    pub(super) model: Model,
    pub(super) dataset: Dataset,
    pub(super) system: System,
    /// `system_power.json`.
    pub(super) power: Option<Map<String, Value>>,
    /// Of all points that have none of their own.
    pub(super) warmup: Option<Map<String, Value>>,
    #[serde(rename = "point")]
    pub(super) points: Vec<Point>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    /// Of the folder.
    pub(super) name: String,
    pub(super) precision: String,
    pub(super) link: String,
    #[serde(default)]
    pub(super) link_transformation: String,
    #[serde(default)]
    pub(super) notes: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dataset {
    /// The client's name of it, as `mlperf_gpt_oss_performance`.
    pub(super) key: String,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) link: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct System {
    pub(super) directory: String,
    pub(super) max_supported_concurrency: i128,
    pub(super) c_min_override: Option<i128>,
    /// Fields of the first node type that are left out are those of this machine.
    #[serde(default)]
    pub(super) probe: bool,
    /// `system_desc.json`.
    pub(super) description: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Point {
    /// The client's report directory.
    pub(super) run: PathBuf,
    /// `elected` for the point at C_max that stands for Offline.
    #[serde(default)]
    pub(super) offline: Option<String>,
    /// Of another run than the point's own.
    pub(super) accuracy: Option<PathBuf>,
    #[serde(default)]
    pub(super) server_config: Vec<PathBuf>,
    pub(super) warmup: Option<Map<String, Value>>,
    pub(super) nodes_used: Option<Vec<Map<String, Value>>>,
    pub(super) speculative_decoding: Option<Map<String, Value>>,
}
