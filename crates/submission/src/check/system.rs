//! A system of a submitter: where its results and its description are.

use std::path::{Path, PathBuf};

use ossmark_rules::{RoundRules, Rules};
use serde_json::{Map, Value};

/// A system of a submitter.
pub(super) struct System<'a> {
    pub(super) rules: &'static Rules,
    pub(super) round_name: &'a str,
    pub(super) round: &'static RoundRules,
    pub(super) division: &'a str,
    pub(super) submitter: &'a str,
    pub(super) name: String,
    /// `<division>/<submitter>`, on disk and in the report.
    pub(super) submitter_dir: &'a Path,
    pub(super) submitter_path: &'a str,
    /// The system's directory under results/.
    pub(super) dir: PathBuf,
    pub(super) path: String,
    /// None where there is no usable description.
    pub(super) json: Option<Map<String, Value>>,
}

impl System<'_> {
    /// Closed and network are held to scenarios, compliance and accuracy; open is not.
    pub(super) fn is_open(&self) -> bool {
        self.division == "open"
    }

    pub(super) fn json_path(&self) -> String {
        format!("{}/systems/{}.json", self.submitter_path, self.name)
    }
}
