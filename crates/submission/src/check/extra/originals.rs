//! `check --originals`: the whole accuracy logs, which a submitter keeps when the tree gets their ends. Are they those that
//! the hashes in accuracy.txt name, are the ends in the tree theirs, and do score and lengths follow from them? Knows no
//! scorer: one is handed in.

use std::path::Path;

use ossmark_logs::ACCURACY;
use ossmark_rules::rules;

use super::super::official::hash_in;
use super::figures::{self, Range};
use super::verification;
use crate::audit::mean_tokens;
use crate::finding::Findings;
use crate::python;
use crate::tree::{TEXT_LIMIT, Text, read_text};
use crate::truncate::{is_marked, remains, sha256_of};

/// Verdicts of programs depend a little on the machine that runs them. So many points of the score are put down to that; a
/// choice, nothing that was measured.
const PROGRAMS: f64 = 0.5;

/// Scores a log, or says why it cannot.
pub type Scorer<'a> = dyn FnMut(&Path) -> Result<Rescored, String> + 'a;

/// The whole logs, and who scores them.
pub struct Originals<'a> {
    /// Laid out as the tree: `<division>/<submitter>/results/...`, as `submission truncate` leaves its backup.
    pub dir: &'a Path,
    /// The score of a log, or why there is none; None compares hashes and lengths only.
    pub score: Option<&'a mut Scorer<'a>>,
}

/// A score that was made again.
#[derive(Clone, Copy, Debug)]
pub struct Rescored {
    /// In percent, as the scorer's 'exact_match'.
    pub exact_match: f64,
    /// Whether answers are programs, whose verdicts depend a little on the machine.
    pub has_programs: bool,
}

impl Originals<'_> {
    /// The three logs of one result; `path` is from the root.
    pub(in super::super) fn check(&mut self, root: &Path, path: &str, findings: &mut Findings) {
        for part in ["accuracy", "TEST07/accuracy", "TEST09/accuracy"] {
            let below = format!("{path}/{part}");
            let in_tree = root.join(&below).join(ACCURACY);
            if !in_tree.is_file() {
                continue; // what is missing in the tree is found by other rules
            }
            let mut report = |rule: &'static str, file: &str, message: String| {
                findings.invalidating(path, rule, &format!("{below}/{file}"), message);
            };
            let original = self.dir.join(&below).join(ACCURACY);
            let Some(text) = self.log(&original, &in_tree, &mut report) else {
                continue;
            };
            match part {
                "accuracy" => self.score(&original, &text, &mut report),
                "TEST09/accuracy" => {
                    lengths(&original, &root.join(path).join("TEST09"), &mut report)
                }
                _ => {}
            }
        }
    }

    /// Gives accuracy.txt of the tree when the original is the log that it names.
    fn log(
        &self,
        original: &Path,
        in_tree: &Path,
        report: &mut impl FnMut(&'static str, &str, String),
    ) -> Option<String> {
        let Text::Read(text) = read_text(&in_tree.with_file_name("accuracy.txt"), TEXT_LIMIT)
        else {
            return None;
        };
        let wanted = python::lines(&text).filter_map(hash_in).last();
        let wanted = wanted
            .unwrap_or("which accuracy.txt does not name")
            .to_lowercase();
        let found = match sha256_of(original) {
            Ok(found) => found,
            Err(_) if !original.exists() => {
                report(
                    "originals.missing",
                    ACCURACY,
                    format!(
                        "not found among the originals, expected the whole log with sha256 {wanted}"
                    ),
                );
                return None;
            }
            Err(error) => {
                report("originals.missing", ACCURACY, error.to_string());
                return None;
            }
        };
        if found != wanted {
            report(
                "originals.hash",
                "accuracy.txt",
                format!("found hash {wanted}, but the original has sha256 {found}"),
            );
            return None;
        }
        let kept = ossmark_files::read(in_tree).ok()?;
        let size = std::fs::metadata(original).ok()?.len();
        let ends = remains(original, size, rules().accuracy.viewable_bytes.value).ok()?;
        if is_marked(&kept) && ends.is_none_or(|ends| ends != kept) {
            report(
                "originals.ends",
                ACCURACY,
                "found other characters than the first and last of the original".into(),
            );
        }
        Some(text)
    }

    fn score(
        &mut self,
        original: &Path,
        text: &str,
        report: &mut impl FnMut(&'static str, &str, String),
    ) {
        let Some(score) = &mut self.score else { return };
        let again = match score(original) {
            Ok(again) => again,
            Err(why) => {
                let message = format!("the original could not be scored: {why}");
                return report("originals.unscored", ACCURACY, message);
            }
        };
        let Some(stated) = figures::value(text, "exact_match") else {
            return; // the official rules object to that
        };
        // The scorer prints three digits.
        let printed = Range::exactly(again.exact_match).or_so(0.0005);
        if stated.meets(printed) {
            return;
        }
        let near = Range::exactly(again.exact_match).or_so(PROGRAMS);
        let rule = match again.has_programs && stated.meets(near) {
            true => "originals.programs",
            false => "originals.score",
        };
        report(
            rule,
            "accuracy.txt",
            format!(
                "found 'exact_match' {stated}, but the original scores {:.3}",
                again.exact_match
            ),
        );
    }
}

/// TEST09's mean, from the tokens in the log.
fn lengths(original: &Path, test: &Path, report: &mut impl FnMut(&'static str, &str, String)) {
    let file = &rules().compliance.test09.result_file.value;
    let Text::Read(text) = read_text(&test.join(file), TEXT_LIMIT) else {
        return;
    };
    let Some(stated) = verification::number(&text, "Mean output tokens") else {
        return;
    };
    match mean_tokens(original) {
        Err(error) => report("originals.unscored", ACCURACY, error.to_string()),
        Ok(mean) if stated.meets(Range::exactly(mean).or_so(0.005)) => {}
        Ok(mean) => report(
            "originals.lengths",
            ACCURACY,
            format!(
                "found a mean of {stated} output tokens in {file}, but the original has {mean:.2}"
            ),
        ),
    }
}
