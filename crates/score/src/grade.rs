//! Extraction and grading of one answer, with the verdicts of MLCommons' reference.
//!
//! Owns: which evaluator a data set's name selects, how often it is repeated, what is taken for the answer in a model's
//! output, and whether it is right. Does not own: running code (`lcb`), the log, sums and the report. Pure functions that
//! take time linear in the output (math500 excepted, which is bounded; its comparison is `crates/math500`); any thread.
//!
//! The rules are those of `language/gpt-oss-120b/eval_accuracy.py` and `eval_mlperf_accuracy.py` of mlcommons/inference at
//! b66003e1. Where they are plainly wrong, the verdict is kept and a [`Quirk`] says so.

mod boxed;
mod choice;
mod code;
mod harmony;
mod quirk;
mod truth;

use num_bigint::BigInt;
use num_traits::FromPrimitive;
use serde::Serialize;

pub use quirk::Quirk;
pub use truth::GroundTruth;

use ossmark_math500::{Comparison, Doubt};
use ossmark_python::{self as python, IntDigits};

use crate::{Error, Result};

/// How answers of a data set are extracted and graded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Evaluator {
    /// Integers from 0 to 999.
    Aime,
    /// One of four choices.
    Gpqa,
    /// One of ten choices, as [`Evaluator::MmluPro`]: the reference does not tell the two apart.
    Mmlu,
    /// One of ten choices.
    MmluPro,
    /// A boxed LaTeX expression, compared by the PRM800K grader.
    Math500,
    /// A Python program, which is graded by running it.
    LiveCodeBench,
}

/// The names as the reference tries them: the first that occurs anywhere in the data set's name wins.
const EVALUATORS: [(&str, Evaluator); 6] = [
    ("gpqa", Evaluator::Gpqa),
    ("mmlu_pro", Evaluator::MmluPro),
    ("math500", Evaluator::Math500),
    ("aime", Evaluator::Aime),
    ("livecodebench", Evaluator::LiveCodeBench),
    ("mmlu", Evaluator::Mmlu),
];

/// The name under which the reference counts a data set: in lower case, as `str.lower` has it.
///
/// # Errors
///
/// [`Error::EmptyDatasetName`], where the reference raises `ValueError` and the whole scoring ends.
pub fn normalize_dataset_name(name: &str) -> Result<String> {
    if name.is_empty() {
        return Err(Error::EmptyDatasetName);
    }
    Ok(python::lower(name))
}

/// The evaluator that a data set's name selects, upper or lower case.
///
/// # Errors
///
/// [`Error::EmptyDatasetName`] and [`Error::UnknownDataset`]: the reference raises `ValueError` for both, and its scoring
/// ends without a score.
pub fn evaluator(dataset_name: &str) -> Result<Evaluator> {
    let name = normalize_dataset_name(dataset_name)?;
    EVALUATORS
        .iter()
        .find(|(key, _)| name.contains(key))
        .map(|&(_, evaluator)| evaluator)
        .ok_or_else(|| Error::UnknownDataset {
            name: dataset_name.to_owned(),
        })
}

/// Whether the reference runs what it extracted as code. It asks the name a second time for `livecodebench`, so that
/// `gpqa_livecodebench` is extracted as a choice and that letter is run.
pub fn runs_code(dataset_name: &str) -> bool {
    python::lower(dataset_name).contains("livecodebench")
}

/// How many answers to a question the official log holds, by the data set's name in lower case.
pub const REPEATS: [(&str, u32); 3] = [("aime25", 8), ("gpqa_diamond", 5), ("livecodebench_v6", 3)];

/// What a data set's correct answers are divided by. The reference asks for exactly the names of [`REPEATS`] (in lower case)
/// and takes 1 for any other.
pub fn repeats(dataset_name: &str) -> u32 {
    let name = python::lower(dataset_name);
    let known = REPEATS.iter().find(|(known, _)| *known == name);
    known.map_or(1, |(_, repeats)| *repeats)
}

/// What the reference takes for the answer. Serialises as null, a number or a string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Extracted {
    /// Nothing was found.
    None,
    /// AIME: 0 to 999.
    Integer(u16),
    /// A choice, a boxed expression or a program; may be empty.
    Text(String),
}

impl From<Option<String>> for Extracted {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::None, Self::Text)
    }
}

/// An extracted answer and what was odd about its extraction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extraction {
    /// The answer.
    pub answer: Extracted,
    /// Readings of the reference that an auditor should see.
    pub quirks: Vec<Quirk>,
}

/// The verdict on one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grade {
    /// Whether it counts.
    pub correct: bool,
    /// The reference's `evaluation_details`.
    pub reason: String,
    /// Readings of the reference that an auditor should see.
    pub quirks: Vec<Quirk>,
}

impl Grade {
    fn wrong(reason: impl Into<String>) -> Self {
        Self {
            correct: false,
            reason: reason.into(),
            quirks: Vec::new(),
        }
    }

    fn failed(error: &str) -> Self {
        Self {
            quirks: vec![Quirk::EvaluationError],
            ..Self::wrong(format!("Evaluation error: {error}"))
        }
    }
}

impl Evaluator {
    /// Takes the answer out of a model's output, special tokens included.
    pub fn extract(self, output: &str, digits: IntDigits) -> Extraction {
        let text = python::strip(output);
        let mut quirks = Vec::new();
        let answer = match self {
            Self::Aime => {
                boxed::aime(text, digits, &mut quirks).map_or(Extracted::None, Extracted::Integer)
            }
            Self::Gpqa => choice::extract(text, b'd', &mut quirks).into(),
            Self::Mmlu | Self::MmluPro => choice::extract(text, b'j', &mut quirks).into(),
            Self::Math500 => boxed::expression(text).map(str::to_owned).into(),
            Self::LiveCodeBench => code::extract(text, &mut quirks).into(),
        };
        Extraction { answer, quirks }
    }

    /// Grades an answer. `None` where only running it can tell: an answer of [`Evaluator::LiveCodeBench`] that is neither
    /// missing nor empty.
    pub fn grade(
        self,
        extracted: &Extracted,
        truth: &GroundTruth,
        digits: IntDigits,
    ) -> Option<Grade> {
        if self == Self::LiveCodeBench {
            return match (extracted, truth) {
                (Extracted::None, _) => Some(Grade::wrong("No code extracted from model output")),
                (_, GroundTruth::Missing) => Some(Grade::wrong("No ground truth available")),
                (Extracted::Text(code), _) if code.is_empty() => {
                    Some(Grade::wrong("No code or question_id provided"))
                }
                (_, truth) if !truth.is_truthy() => {
                    Some(Grade::wrong("No code or question_id provided"))
                }
                _ => None,
            };
        }
        let answer = match extracted {
            Extracted::None => return Some(Grade::wrong("No answer extracted from model output")),
            _ if *truth == GroundTruth::Missing => {
                return Some(Grade::wrong("No ground truth available"));
            }
            Extracted::Integer(value) => value.to_string(),
            Extracted::Text(text) => text.clone(),
        };
        let mut quirks = Vec::new();
        let verdict = match self {
            Self::Aime => same_integer(extracted, truth, digits, &mut quirks),
            Self::Gpqa => same_choice(&answer, truth, "ABCD"),
            Self::Mmlu | Self::MmluPro => same_choice(&answer, truth, "ABCDEFGHIJ"),
            Self::Math500 => Ok(same_expression(&answer, truth, digits, &mut quirks)),
            Self::LiveCodeBench => unreachable!("returned above"),
        };
        Some(match verdict {
            Ok(true) => Grade {
                correct: true,
                reason: "Correct".to_owned(),
                quirks,
            },
            Ok(false) => Grade {
                quirks,
                ..Grade::wrong(format!(
                    "Incorrect (extracted: {answer}, ground_truth: {truth})"
                ))
            },
            Err(error) => Grade::failed(&error),
        })
    }
}

/// `int(extracted) == int(ground_truth)`; `Err` is an exception that the reference turns into its details.
fn same_integer(
    extracted: &Extracted,
    truth: &GroundTruth,
    digits: IntDigits,
    quirks: &mut Vec<Quirk>,
) -> std::result::Result<bool, String> {
    let Extracted::Integer(answer) = extracted else {
        return Ok(false);
    };
    let expected = match truth {
        GroundTruth::Missing => None,
        GroundTruth::Text(text) => python::parse_int(text, digits),
        GroundTruth::Integer(value) => Some(BigInt::from(*value)),
        GroundTruth::Boolean(value) => Some(BigInt::from(u8::from(*value))),
        GroundTruth::Float(value) if value.is_infinite() => {
            return Err("cannot convert float infinity to integer".to_owned());
        }
        GroundTruth::Float(value) => {
            if value.fract() != 0.0 {
                quirks.push(Quirk::TruncatedGroundTruth);
            }
            BigInt::from_f64(value.trunc())
        }
        GroundTruth::Decimal(value) => {
            if value.has_fraction() {
                quirks.push(Quirk::TruncatedGroundTruth);
            }
            value.integer().parse().ok()
        }
    };
    Ok(expected == Some(BigInt::from(*answer)))
}

fn same_expression(
    answer: &str,
    truth: &GroundTruth,
    digits: IntDigits,
    quirks: &mut Vec<Quirk>,
) -> bool {
    if !truth.is_truthy() {
        return false;
    }
    let Comparison { equal, doubt } = ossmark_math500::compare(answer, &truth.to_string(), digits);
    quirks.extend(doubt.map(|doubt| match doubt {
        Doubt::NumericallyEqual => Quirk::NumericallyEqual,
        Doubt::BeyondPort => Quirk::BeyondPort,
    }));
    equal
}

fn same_choice(
    answer: &str,
    truth: &GroundTruth,
    options: &str,
) -> std::result::Result<bool, String> {
    if !truth.is_truthy() {
        return Ok(false);
    }
    let GroundTruth::Text(truth) = truth else {
        return Err(format!(
            "'{}' object has no attribute 'upper'",
            truth.type_name()
        ));
    };
    // `in` on a string of options is a substring test; every extracted choice is one letter.
    Ok(options.contains(answer) && answer == python::upper(truth))
}

#[cfg(test)]
mod tests;
