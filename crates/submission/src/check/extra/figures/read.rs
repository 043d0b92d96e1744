//! The figures out of a scorer's text.

use std::sync::LazyLock;

use regex::Regex;

use super::Range;
use crate::python;

/// A row of the table.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) correct: Range,
    pub(super) total: Range,
    pub(super) repeats: Range,
    pub(super) score: Range,
    pub(super) accuracy: Range,
}

/// All figures of a text.
#[derive(Default)]
pub(super) struct Figures {
    /// `'name': number`, in the text's order.
    pub(super) dictionary: Vec<(String, Range)>,
    pub(super) samples: Vec<Range>,
    /// Per cent, right, all.
    pub(super) raw: Vec<[Range; 3]>,
    pub(super) rows: Vec<Row>,
    /// Rows of a data set that has one already.
    pub(super) again: Vec<Row>,
    /// `name/repeats`.
    pub(super) formula: Vec<Vec<(String, Range)>>,
    /// `right/repeats + ...` after `Score:`, `all/repeats + ...` after `Max:`, and the sums below.
    pub(super) score: Vec<Vec<Term>>,
    pub(super) max: Vec<Vec<Term>>,
    /// Per cent, score, most that could be had.
    pub(super) last: Vec<[Range; 3]>,
    /// Lines that begin as the scorer's do and go on otherwise.
    pub(super) broken: Vec<String>,
}

/// A number, or a quotient.
pub(super) type Term = (Range, Option<Range>);

pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a fixed pattern, compiled by the tests")
}

/// Reads them.
pub(super) fn read(text: &str) -> Figures {
    static DICTIONARY: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"'([A-Za-z0-9_-]+)':\s*([0-9.]+)"));
    static RAW: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^Overall raw accuracy: ([0-9.]+)% \(([0-9]+)/([0-9]+)\)$"));
    static ROW: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^(\S.*?)\s+([0-9]+)\s+([0-9]+)\s+([0-9]+)\s+([0-9.]+)\s+([0-9.]+)%$")
    });
    static LAST: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^FINAL SCORE: ([0-9.]+)% \(([0-9.]+)/([0-9.]+)\)$"));
    let mut out = Figures::default();
    // Which sum the lines that begin with "=" belong to.
    let mut sum: Option<bool> = None;
    for line in python::lines(text) {
        let line = line.trim_end();
        for found in DICTIONARY.captures_iter(line) {
            if let Some(value) = Range::printed(&found[2]) {
                out.dictionary.push((found[1].to_owned(), value));
            }
        }
        let three = |pattern: &Regex| -> Option<[Range; 3]> {
            let found = pattern.captures(line)?;
            Some([
                Range::printed(&found[1])?,
                Range::printed(&found[2])?,
                Range::printed(&found[3])?,
            ])
        };
        let is_read = if let Some(number) = line.strip_prefix("Total samples evaluated:") {
            Range::printed(number.trim()).map(|n| out.samples.push(n))
        } else if line.starts_with("Overall raw accuracy:") {
            three(&RAW).map(|figures| out.raw.push(figures))
        } else if line.starts_with("FINAL SCORE:") {
            three(&LAST).map(|figures| out.last.push(figures))
        } else if let Some(parts) = line.strip_prefix("Formula:") {
            named_terms(parts).map(|parts| out.formula.push(parts))
        } else if let Some(parts) = line.strip_prefix("Score:") {
            sum = Some(true);
            terms(parts).map(|parts| out.score.push(parts))
        } else if let Some(parts) = line.strip_prefix("Max:") {
            sum = Some(false);
            terms(parts).map(|parts| out.max.push(parts))
        } else if line.trim_start().starts_with("= ") && sum.is_some() {
            let sums = if sum == Some(true) {
                &mut out.score
            } else {
                &mut out.max
            };
            terms(line).map(|parts| sums.push(parts))
        } else {
            if let Some(row) = ROW.captures(line).and_then(|found| {
                let number = |n: usize| Range::printed(&found[n]);
                Some(Row {
                    name: found[1].to_owned(),
                    correct: number(2)?,
                    total: number(3)?,
                    repeats: number(4)?,
                    score: number(5)?,
                    accuracy: number(6)?,
                })
            }) {
                match out.rows.iter().any(|known| known.name == row.name) {
                    true => out.again.push(row),
                    false => out.rows.push(row),
                }
            }
            Some(())
        };
        if is_read.is_none() {
            out.broken.push(line.to_owned());
        }
    }
    out
}

/// `= 199/8 + 820/5`, `= 24.88 + 164.00`.
fn terms(text: &str) -> Option<Vec<Term>> {
    let text = text.trim().strip_prefix('=')?;
    let term = |text: &str| {
        Some(match text.trim().split_once('/') {
            Some((part, whole)) => (Range::printed(part)?, Some(Range::printed(whole)?)),
            None => (Range::printed(text.trim())?, None),
        })
    };
    text.split('+').map(term).collect()
}

/// `aime25/8 + gpqa_diamond/5`.
fn named_terms(text: &str) -> Option<Vec<(String, Range)>> {
    let term = |text: &str| {
        let (name, repeats) = text.trim().rsplit_once('/')?;
        Some((name.to_owned(), Range::printed(repeats)?))
    };
    text.split(" + ").map(term).collect()
}
