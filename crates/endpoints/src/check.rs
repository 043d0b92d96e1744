//! `endpoints check`: judges anybody's tree by the rules of MLCommons' checker, and by what that lets through.
//!
//! Owns the walk and the report. What each rule is called, where it comes from and how to fix it is in
//! `mlperf_conf/endpoints.toml`. Where the official checker ends with an exception, this one notes it and goes on.

mod accuracy;
mod agentic;
mod coverage;
mod curve;
mod defaults;
mod disclosure;
mod drafters;
mod engagement;
mod extra;
mod gate;
mod layout;
mod loaded;
mod metrics;
mod offline;
mod points;
mod power;
mod seeds;
mod system;
mod tree;

use std::path::Path;

use serde::Serialize;

use crate::client::{self, Audited, CountTokens};
use crate::error::Error;
use crate::finding::{Finding, Findings, Severity};

pub(crate) use extra::held;
pub(crate) use power::provisioned_kw;

/// What to check, and how.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The organisation's directory, the submission's below it, or what a client left of one run (with its events).
    pub tree: &'a Path,
    /// Counts tokens of prompts and answers in events; without it figures of tokens are not recomputed.
    pub tokens: Option<&'a dyn CountTokens>,
    /// Only what MLCommons' own checker says: its rules, severities and exit code.
    pub official_only: bool,
    /// Warnings count too.
    pub strict: bool,
}

/// Whether the tree may be handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing stands against it.
    Valid,
    /// At least one error does, or a warning where those count.
    Invalid,
}

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of the whole tree.
    pub verdict: Verdict,
    /// Errors, warnings, then what is good.
    pub findings: Vec<Finding>,
    /// Errors and warnings that were counted and not kept.
    pub findings_left_out: usize,
    /// MLCommons' own checker ends with an exception.
    pub official_crash: bool,
    /// Whether only the official checker's rules were applied.
    pub official_only: bool,
    /// Runs whose events are there, with the figures that follow from them.
    pub client_runs: Vec<Audited>,
}

impl Report {
    /// How many findings have a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|f| f.severity == severity)
            .count()
    }
}

/// Checks a tree.
///
/// # Errors
/// [`Error::NotATree`] when `tree` is no directory.
pub fn check(options: Options<'_>) -> Result<Report, Error> {
    if !options.tree.is_dir() {
        let found = if options.tree.exists() {
            "found something that is no directory"
        } else {
            "not found"
        };
        return Err(Error::NotATree {
            path: options.tree.into(),
            found,
        });
    }
    let mut findings = Findings::new(options.tree);
    let client_runs = if options.official_only {
        layout::check(options.tree, &mut findings);
        Vec::new()
    } else if options.tree.join(client::EVENTS).exists() {
        let run = client::audit(options.tree, options.tokens, true, &mut findings);
        run.into_iter().collect()
    } else {
        layout::check(options.tree, &mut findings);
        let runs = tree::with_events(options.tree, &mut findings);
        let audited = runs
            .iter()
            .map(|dir| client::audit(dir, options.tokens, false, &mut findings));
        audited.flatten().collect()
    };
    Ok(Report {
        client_runs,
        ..report(options, findings)
    })
}

/// A crash of the official checker is its only answer, and its exit code is that of an error.
fn report(options: Options<'_>, findings: Findings) -> Report {
    let Findings {
        mut list,
        left_out,
        has_crash,
        ..
    } = findings;
    if options.official_only {
        list.retain(|finding| match finding.rule {
            CRASH | TOO_LARGE => true,
            _ => finding.official && !has_crash,
        });
        for finding in list.iter_mut().filter(|finding| finding.rule == CRASH) {
            finding.severity = Severity::Info;
        }
    }
    let stands_against = |finding: &Finding| {
        finding.severity == Severity::Error
            || options.strict && finding.severity == Severity::Warning
    };
    let is_invalid = list.iter().any(stands_against) || left_out > 0 || has_crash;
    list.sort_by_key(|finding| finding.severity);
    Report {
        verdict: if is_invalid {
            Verdict::Invalid
        } else {
            Verdict::Valid
        },
        findings: list,
        findings_left_out: left_out,
        official_crash: has_crash,
        official_only: options.official_only,
        client_runs: Vec::new(),
    }
}

const CRASH: &str = "official-checker-crash";
const TOO_LARGE: &str = "tree-too-large";
