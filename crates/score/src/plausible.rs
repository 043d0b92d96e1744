//! Whether answers look like a model's answers to these questions. A score says nothing about it: the wrong tokenizer, the
//! wrong reference data and the log of another run give a low score and no error.
//!
//! Owns: the limits below which a data set's answers are called improbable, and what to check then. Changes no score.
//!
//! The limits leave room for every model worth scoring. A right answer is one that could be read, so that a data set of
//! which less than half can be read scores below 50 %; gpt-oss-120b is asked for 82 % (99 % of 83.13 %) over all. What is read
//! and right no more often than by chance (choices: as often as one of the choices is, and three standard deviations more;
//! everything else: one answer in twenty) belongs to other questions, or to a model that knows nothing. Below
//! 20 answers nothing is called improbable but that none of them can be read.

use std::collections::BTreeMap;

use crate::{
    Answers, Source,
    grade::{Evaluator, Extracted, evaluator},
};

/// Fewer answers say nothing.
const ENOUGH: u64 = 20;

#[derive(Default)]
struct DatasetCounts {
    total: u64,
    read: u64,
    right: u64,
    first_unread: Option<String>,
    first: String,
}

impl Answers {
    /// Adds what is improbable to the findings. To be called once programs have their verdicts.
    pub fn note_implausible(&mut self) {
        let mut sets: BTreeMap<String, DatasetCounts> = BTreeMap::new();
        let (mut unknown, mut first_unknown) = (0, String::new());
        for answer in &self.answers {
            let place = || match &answer.source {
                Source::Log { qsl_idx, .. } => format!("row {qsl_idx}"),
                Source::Inferred { row, pass } => format!("row {row}, pass {pass}"),
            };
            let seen = sets
                .entry(answer.dataset.clone())
                .or_insert_with(|| DatasetCounts {
                    first: place(),
                    ..DatasetCounts::default()
                });
            seen.total += 1;
            seen.right += u64::from(answer.correct);
            let is_read = match &answer.extracted {
                Extracted::None => false,
                Extracted::Text(text) => !text.is_empty(),
                Extracted::Integer(_) => true,
            };
            seen.read += u64::from(is_read);
            if !is_read && seen.first_unread.is_none() {
                seen.first_unread = Some(place());
            }
            if answer.is_code && answer.reason.ends_with(NOT_FOUND) {
                if unknown == 0 {
                    first_unknown = place();
                }
                unknown += 1;
            }
        }
        let is_log = matches!(
            self.answers.first().map(|a| &a.source),
            Some(Source::Log { .. })
        );
        let check = if is_log { CHECK_LOG } else { CHECK_INFERRED };
        let (mut unread, mut guessed) = (Vec::new(), Vec::new());
        for (name, seen) in &sets {
            let DatasetCounts {
                total, read, right, ..
            } = *seen;
            if read == 0 || (total >= ENOUGH && read * 2 < total) {
                let first = seen.first_unread.as_ref().unwrap_or(&seen.first);
                unread.push((
                    format!("{} of {total} answers of {name}", total - read),
                    first.clone(),
                ));
            } else if total >= ENOUGH && right <= by_chance(name, total) {
                guessed.push((format!("{right} of {total} of {name}"), seen.first.clone()));
            }
        }
        let list = |found: &[(String, String)]| {
            let texts: Vec<&str> = found.iter().map(|(text, _)| text.as_str()).collect();
            texts.join(", ")
        };
        if let Some((_, first)) = unread.first() {
            let message = format!("no answer could be read in {}: {check}", list(&unread));
            self.findings
                .say("improbable_reading", message, first.clone());
        }
        if let Some((_, first)) = guessed.first() {
            let message = format!(
                "no more answers are right than by chance, {}: {check}",
                list(&guessed)
            );
            self.findings
                .say("improbable_score", message, first.clone());
        }
        self.findings
            .add_many("unknown_problems", UNKNOWN_PROBLEMS, unknown, || {
                first_unknown
            });
    }
}

/// How many answers may be right by luck.
fn by_chance(name: &str, total: u64) -> u64 {
    let share = match evaluator(name) {
        Ok(Evaluator::Gpqa) => 0.25,
        Ok(Evaluator::Mmlu | Evaluator::MmluPro) => 0.1,
        _ => return total / 20,
    };
    let mean = share * total as f64;
    (mean + 3.0 * (mean * (1.0 - share)).sqrt()) as u64
}

/// How the reference ends its words about a question id that the problems do not have.
const NOT_FOUND: &str = "not found in benchmark";

const CHECK_LOG: &str = "is --tokenizer the tokenizer of the model that answered, is --dataset the data set of the run with its rows in \
                         the same order, and is this the log of an accuracy run?";
const CHECK_INFERRED: &str = "were these outputs made for the prompts of these rows, and turned into text with the tokenizer of the model that answered?";
const UNKNOWN_PROBLEMS: &str = "answers are to questions that --lcb-problems does not have: counted as wrong, as in the reference; give \
                                every file of the release that the data set was made from (release_v6: test.jsonl to test6.jsonl)";

#[cfg(test)]
mod tests;
