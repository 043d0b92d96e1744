//! `submission check`: walks a tree as the official checker does, and judges it by its rules and by those that it lacks.
//!
//! Owns the walk and the report. The official checks are in `official`, everything beyond them in `extra`; what each
//! rule is called, where it comes from and how to fix it is in the catalogue. One file that is missing or broken makes only
//! its own result invalid, although the official checker often ends there.

mod csv;
mod endpoints;
mod extra;
mod load;
mod official;
mod result_line;
mod run;
mod system;
mod walk;

pub(crate) use extra::REHEARSAL;
pub use extra::{Originals, Rescored, Scorer};
pub(crate) use official::hash_in;
pub use result_line::ResultLine;
pub(crate) use run::PERFORMANCE_RUN;

use std::path::Path;

use ossmark_rules::rules;
use serde::Serialize;

use crate::error::Error;
use crate::finding::{Finding, Findings, Severity};

/// What to check, and how.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The directory that holds closed/, open/ or network/.
    pub input: &'a Path,
    /// `v6.1`, `v6.0`.
    pub round: &'a str,
    /// Only this submitter's directories.
    pub submitter: Option<&'a str>,
    /// Base the verdict on the official checker's objections alone; all else is a note.
    pub official_only: bool,
}

/// Whether a submission may be handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing stands against it.
    Valid,
    /// At least one error does.
    Invalid,
}

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of the whole submission.
    pub verdict: Verdict,
    /// In the order of their paths.
    pub results: Vec<ResultLine>,
    /// In the order of the walk.
    pub findings: Vec<Finding>,
    /// Findings that were counted and not kept.
    pub findings_left_out: usize,
    /// The rules that were applied.
    pub round: String,
    /// Whether the verdict rests on the official checker's objections alone.
    pub official_only: bool,
}

impl Report {
    /// How many findings weigh so much; of those that were kept.
    pub fn count(&self, severity: Severity) -> usize {
        let found = self.findings.iter();
        found.filter(|f| f.severity == severity).count()
    }

    /// The results in the official checker's CSV format; invalid ones are left out, as there.
    pub fn csv(&self) -> String {
        csv::render(
            self.results
                .iter()
                .filter(|r| r.valid)
                .filter_map(|r| r.row.as_deref()),
        )
    }
}

/// Checks a submission tree.
///
/// # Errors
/// [`Error::NotATree`] when `input` is no directory, [`Error::UnknownRound`].
pub fn check(options: Options<'_>) -> Result<Report, Error> {
    examine(options, None)
}

/// [`check`], and the whole logs that the submitter keeps against what is in the tree.
///
/// # Errors
/// As [`check`].
pub fn check_with(options: Options<'_>, originals: Originals<'_>) -> Result<Report, Error> {
    examine(options, Some(originals))
}

/// Those of a tree, where there are any. From outside: names of directories.
fn submitters(root: &Path) -> Option<String> {
    const NAMED: usize = 30;
    let entries = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = rules()
        .submission
        .divisions
        .value
        .iter()
        .flat_map(|division| entries(&root.join(division)))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(NAMED);
    (!names.is_empty()).then(|| format!("; submitters there: {}", names.join(", ")))
}

fn examine(options: Options<'_>, originals: Option<Originals<'_>>) -> Result<Report, Error> {
    let Some(round) = rules().round(options.round) else {
        let known: Vec<_> = rules().rounds().collect();
        return Err(Error::UnknownRound {
            round: options.round.into(),
            known: known.join(", "),
        });
    };
    crate::tree::expect_directory(options.input)?;
    let mut findings = Findings::default();
    let mut results = walk::walk(options, round, &mut findings);
    if results.is_empty() {
        let whose = options
            .submitter
            .map(|s| format!(" of submitter {s}"))
            .unwrap_or_default();
        let near = crate::tree::root_near(options.input)
            .map(|root| format!("; give {}", root.display()))
            .or_else(|| options.submitter.and_then(|_| submitters(options.input)))
            .unwrap_or_default();
        let message = format!(
            "found no result{whose}, expected <division>/<submitter>/results/<system>/{}/<scenario>{near}",
            rules().submission.benchmark.value
        );
        findings.general("results.zero", ".", message);
    }
    if let Some(mut originals) = originals {
        for result in &results {
            originals.check(options.input, &result.path, &mut findings);
        }
    }
    if options.official_only {
        for finding in findings.list.iter_mut().filter(|f| !f.official) {
            finding.severity = Severity::Note;
        }
    }
    let errors: Vec<&Finding> = findings
        .list
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    for result in &mut results {
        result.valid = !errors
            .iter()
            .filter_map(|e| e.invalidates.as_deref())
            .any(|invalidates| is_under(&result.path, invalidates));
    }
    let verdict = if errors.is_empty() && findings.left_out == 0 {
        Verdict::Valid
    } else {
        Verdict::Invalid
    };
    Ok(Report {
        verdict,
        results,
        findings: findings.list,
        findings_left_out: findings.left_out,
        round: options.round.into(),
        official_only: options.official_only,
    })
}

fn is_under(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
