//! One result's files, read once for all checks.

use std::path::PathBuf;

use ossmark_logs::DETAIL;
use serde_json::Value;

use super::endpoints;
use super::system::System;
use crate::finding::Findings;
use crate::log::{Loaded, Log};
use crate::python;
use crate::tree::{LOG_LIMIT, TEXT_LIMIT, Text, read_text};

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
    pub(super) is_endpoints: bool,
    /// accuracy.txt.
    pub(super) score_text: Option<String>,
    pub(super) measurements: Option<Value>,
    /// Set by the official checks.
    pub(super) metric: Option<f64>,
    /// As accuracy.txt gives it.
    pub(super) score: Option<String>,
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
            metric: None,
            score: None,
        }
    }

    /// The path of a file below the scenario's directory, for the report.
    pub(super) fn at(&self, file: &str) -> String {
        format!("{}/{file}", self.path)
    }

    /// An objection that makes this result invalid.
    pub(super) fn object(
        &self,
        findings: &mut Findings,
        rule: &'static str,
        file: &str,
        message: impl Into<String>,
    ) {
        findings.spoiling(&self.path, rule, &self.at(file), message);
    }

    /// Reads what is there; what is missing or broken is a finding.
    pub(super) fn load(&mut self, findings: &mut Findings) {
        let performance_file = format!("{PERFORMANCE_RUN}/{DETAIL}");
        let accuracy_file = format!("accuracy/{DETAIL}");
        let (performance, performance_there) =
            self.log(&performance_file, "performance.log", findings);
        let (accuracy, accuracy_there) = self.log(&accuracy_file, "accuracy.log", findings);
        if !performance_there && !accuracy_there {
            self.is_endpoints = true;
            endpoints::load(self, findings);
        } else {
            if !performance_there {
                self.object(
                    findings,
                    "performance.missing",
                    &performance_file,
                    "found nothing, expected LoadGen's detail log",
                );
            }
            if !accuracy_there {
                self.object(
                    findings,
                    "accuracy.log-missing",
                    &accuracy_file,
                    "found nothing, expected LoadGen's detail log",
                );
            }
            if let Some((log, text)) = performance {
                (self.performance, self.performance_text) = (Some(log), text);
            }
            if let Some((log, text)) = accuracy {
                (self.accuracy, self.accuracy_text) = (Some(log), text);
            }
        }
        self.score_text = self.text("accuracy/accuracy.txt", findings);
        self.measurements = self.json("measurements.json", findings);
        self.unused_logs(findings);
    }

    fn log(
        &self,
        file: &str,
        rule: &'static str,
        findings: &mut Findings,
    ) -> (Option<(Log, String)>, bool) {
        match Log::load(&self.dir.join(file)) {
            Loaded::Missing => (None, false),
            Loaded::Log(log, text) => (Some((log, text)), true),
            Loaded::Broken(why) => {
                self.object(findings, rule, file, why);
                (None, true)
            }
            Loaded::TooLarge(size) => {
                self.object(
                    findings,
                    "tree.too-large-to-read",
                    file,
                    format!("found {size} bytes, expected at most {LOG_LIMIT}"),
                );
                (None, true)
            }
        }
    }

    /// A text file that the official checker reads when it is there.
    pub(super) fn text(&self, file: &str, findings: &mut Findings) -> Option<String> {
        match read_text(&self.dir.join(file), TEXT_LIMIT) {
            Text::Missing => None,
            Text::Read(text) => Some(text),
            Text::Unreadable(why) => {
                self.object(findings, "tree.unreadable", file, why);
                None
            }
            Text::TooLarge(size) => {
                self.object(
                    findings,
                    "tree.too-large-to-read",
                    file,
                    format!("found {size} bytes, expected at most {TEXT_LIMIT}"),
                );
                None
            }
        }
    }

    fn json(&self, file: &str, findings: &mut Findings) -> Option<Value> {
        let text = self.text(file, findings)?;
        match python::loads(&text) {
            Ok(json) => Some(json),
            Err(error) => {
                self.object(
                    findings,
                    "tree.unreadable",
                    file,
                    format!("found text that is not JSON ({error})"),
                );
                None
            }
        }
    }

    /// Logs of tests that this benchmark does not have are parsed by the official checker all the same.
    fn unused_logs(&self, findings: &mut Findings) {
        for test in ["TEST01", "TEST04"] {
            let file = format!("{test}/{PERFORMANCE_RUN}/{DETAIL}");
            self.log(&file, "compliance.log", findings);
        }
        for test in ["TEST01", "TEST04", "TEST06", "TEST08"] {
            self.text(&format!("{test}/verify_accuracy.txt"), findings);
        }
    }
}
