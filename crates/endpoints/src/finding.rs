//! What a check found, by rule.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::lax::Problem;
use crate::rules::rules;

/// Errors decide the verdict; with `--strict` warnings too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Against it.
    Error,
    /// To be looked at.
    Warning,
    /// Good, or worth knowing.
    Info,
}

/// One thing that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Its name in `mlperf_conf/endpoints.toml`; those of MLCommons' checker are its own names.
    pub rule: &'static str,
    /// What it does to the verdict.
    pub severity: Severity,
    /// MLCommons' own checker says so too.
    pub official: bool,
    /// Where, from the directory that was given.
    pub path: String,
    /// What was found and what was expected.
    pub message: String,
    /// Where the rule is written.
    pub source: &'static str,
    /// How to fix it; empty where nothing is to be fixed.
    pub fix: &'static str,
}

/// More are counted, not kept.
const KEPT: usize = 5000;

/// Collects findings.
#[derive(Debug)]
pub(crate) struct Findings {
    root: PathBuf,
    pub(crate) list: Vec<Finding>,
    /// Of errors and warnings.
    pub(crate) left_out: usize,
    pub(crate) has_crash: bool,
}

impl Findings {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            list: Vec::new(),
            left_out: 0,
            has_crash: false,
        }
    }

    pub(crate) fn error(&mut self, rule: &'static str, path: &Path, message: impl Into<String>) {
        self.add(rule, Severity::Error, path, message.into());
    }

    pub(crate) fn warning(&mut self, rule: &'static str, path: &Path, message: impl Into<String>) {
        self.add(rule, Severity::Warning, path, message.into());
    }

    pub(crate) fn pass(&mut self, rule: &'static str, path: &Path, message: impl Into<String>) {
        self.add(rule, Severity::Info, path, message.into());
    }

    /// Each problem of a file is an error.
    pub(crate) fn problems(&mut self, rule: &'static str, path: &Path, problems: Vec<Problem>) {
        for Problem { field, message } in problems {
            let place = if field.is_empty() { "the file" } else { &field };
            self.error(rule, path, format!("{place}: {message}"));
        }
    }

    /// The official checker ends here with an exception and says nothing of the tree.
    pub(crate) fn crash(&mut self, path: &Path, why: impl Into<String>) {
        self.has_crash = true;
        let message = format!(
            "{}; the official checker ends here with an exception and judges nothing",
            why.into()
        );
        self.add("official-checker-crash", Severity::Error, path, message);
    }

    fn add(&mut self, rule: &'static str, severity: Severity, path: &Path, message: String) {
        let Some(text) = rules().rule(rule) else {
            unreachable!("rule {rule} is used but not in endpoints.toml; a test compares the two")
        };
        if self.list.len() >= KEPT {
            self.left_out += usize::from(severity != Severity::Info);
            // What decides takes the place of what does not.
            let info = self.list.iter().rposition(|f| f.severity > severity);
            let Some(info) = info.filter(|_| severity == Severity::Error) else {
                return;
            };
            self.left_out -= usize::from(self.list[info].severity == Severity::Info);
            self.list.swap_remove(info);
        }
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        let path = path.to_string_lossy();
        self.list.push(Finding {
            rule,
            severity,
            official: text.official,
            path: if path.is_empty() {
                ".".into()
            } else {
                path.into_owned()
            },
            message,
            source: &text.source,
            fix: if severity == Severity::Info {
                ""
            } else {
                &text.fix
            },
        });
    }
}
