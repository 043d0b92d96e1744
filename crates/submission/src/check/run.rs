//! One result: where it is, and its files, which `load` reads once for all checks.

use std::path::PathBuf;

use serde_json::Value;

use super::system::System;
use crate::finding::Findings;
use crate::log::Log;
use crate::tree::{TEXT_LIMIT, Text, read_text};

pub(crate) const PERFORMANCE_RUN: &str = "performance/run_1";

/// A scenario directory of gpt-oss-120b.
pub(super) struct Run<'a> {
    pub(super) system: &'a System<'a>,
    pub(super) benchmark: &'a str,
    /// The directory's name, which decides what the run is to be.
    pub(super) folder: String,
    pub(super) dir: PathBuf,
    /// From the root of the tree.
    pub(super) path: String,
    /// As the official checker reads them, and their text.
    pub(super) performance: Option<Log>,
    pub(super) performance_text: String,
    pub(super) accuracy: Option<Log>,
    pub(super) accuracy_text: String,
    /// It has mlcommons/endpoints' files and no log of LoadGen's.
    pub(super) is_endpoints: bool,
    /// accuracy.txt.
    pub(super) score_text: Option<String>,
    pub(super) measurements: Option<Value>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        system: &'a System<'a>,
        benchmark: &'a str,
        folder: &str,
        dir: PathBuf,
        path: String,
    ) -> Self {
        Run {
            system,
            benchmark,
            folder: folder.into(),
            dir,
            path,
            performance: None,
            performance_text: String::new(),
            accuracy: None,
            accuracy_text: String::new(),
            is_endpoints: false,
            score_text: None,
            measurements: None,
        }
    }

    /// The path of a file below the scenario's directory, for the report.
    pub(super) fn at(&self, file: &str) -> String {
        format!("{}/{file}", self.path)
    }

    /// An objection that makes this result invalid.
    pub(super) fn report(
        &self,
        findings: &mut Findings,
        rule: &'static str,
        file: &str,
        message: impl Into<String>,
    ) {
        findings.invalidating(&self.path, rule, &self.at(file), message);
    }

    /// A text file that the official checker reads when it is there.
    pub(super) fn text(&self, file: &str, findings: &mut Findings) -> Option<String> {
        match read_text(&self.dir.join(file), TEXT_LIMIT) {
            Text::Missing => None,
            Text::Read(text) => Some(text),
            Text::Unreadable(why) => {
                self.report(findings, "tree.unreadable", file, why);
                None
            }
            Text::TooLarge(size) => {
                self.report(
                    findings,
                    "tree.too-large-to-read",
                    file,
                    format!("found {size} bytes, expected at most {TEXT_LIMIT}"),
                );
                None
            }
        }
    }
}
