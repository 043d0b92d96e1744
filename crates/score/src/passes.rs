//! pass@k: a file of inferred outputs, `model_output_0` and on, graded as the reference's `eval_accuracy.py` does: a row is
//! as good as its best pass.

use std::{fmt, path::Path};

use ossmark_dataset::{Cell, Frame};
use ossmark_python::{IntDigits, float_repr};
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    Answer, Answers, Error, Findings, Program, Reference, Result, Source,
    answers::{QuirkCount, grade},
    grade::GroundTruth,
    reference::truth,
};

/// A file of inferred outputs, programs not yet run.
pub struct Passes {
    /// Pass by pass within a row.
    pub answers: Answers,
    rows: u64,
    passes: u64,
    tokens_per_sample: f64,
}

/// The figures of pass@k, under the names that the reference prints. Displayed, they are its dictionary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PassSummary {
    /// Per cent of rows of which some pass is right.
    pub exact_match: f64,
    /// Mean length of all outputs.
    pub tokens_per_sample: f64,
    /// Rows.
    #[serde(rename = "num-samples")]
    pub num_samples: u64,
    /// Outputs a row.
    pub pass_k: u64,
    /// Per cent of right outputs, pass by pass.
    pub exact_match_pass: Vec<f64>,
}

/// Grades a file's outputs, programs apart.
///
/// # Errors
/// When a column is missing, or where the reference ends with an exception.
pub fn read_passes(path: &Path, allow_pickle: bool) -> Result<Passes> {
    let frame = Frame::open(path, allow_pickle)?;
    let has = |name: &str| frame.columns().iter().any(|c| c == name);
    let passes = (0..)
        .take_while(|i| has(&format!("model_output_{i}")))
        .count();
    let missing = |what: &str| Error::Column {
        path: path.to_owned(),
        column: what.to_owned(),
        found: frame.columns().join(", "),
    };
    if passes == 0 {
        return Err(missing(
            "model_output_0 (and model_output_1 and on, one per pass)",
        ));
    }
    let reference = Reference::from_frame(path, &frame)?;
    let mut outputs = Vec::new();
    let mut lengths = Vec::new();
    for i in 0..passes {
        let length = format!("tok_model_output_len_{i}");
        if !has(&length) {
            return Err(missing(&length));
        }
        outputs.push(frame.cells(&format!("model_output_{i}"))?);
        lengths.push(frame.cells(&length)?);
    }
    let rows = reference.rows();
    let graded: Vec<Result<Vec<_>>> = (0..rows)
        .into_par_iter()
        .map(|row| grade_row(row, path, &reference, &outputs, &lengths))
        .collect();
    let mut answers = Answers {
        answers: Vec::new(),
        programs: Vec::new(),
        findings: Findings::default(),
        long_numbers: false,
    };
    for (row, graded) in graded.into_iter().enumerate() {
        for (answer, question_id, notes) in graded? {
            for (rule, message, count) in notes {
                answers
                    .findings
                    .add_many(rule, message, count, || format!("row {row}"));
            }
            if let Some(question_id) = question_id {
                let answer = answers.answers.len();
                answers.programs.push(Program {
                    answer,
                    question_id,
                });
            }
            answers.answers.push(answer);
        }
    }
    let total: f64 = lengths.iter().flatten().map(number).sum();
    let cells = (rows * passes) as f64;
    Ok(Passes {
        answers,
        rows: rows as u64,
        passes: passes as u64,
        tokens_per_sample: if cells > 0.0 { total / cells } else { 0.0 },
    })
}

type Graded = (Answer, Option<String>, Vec<QuirkCount>);

fn grade_row(
    row: usize,
    path: &Path,
    reference: &Reference,
    outputs: &[Vec<Cell>],
    lengths: &[Vec<Cell>],
) -> Result<Vec<Graded>> {
    let (kind, expected) = reference.row(row)?;
    let digits = IntDigits::of_log(reference.has_code());
    let mut graded = Vec::with_capacity(outputs.len());
    for (pass, (outputs, lengths)) in outputs.iter().zip(lengths).enumerate() {
        let text = match truth(outputs[row].clone()) {
            GroundTruth::Missing => String::new(),
            text => text.to_string(),
        };
        let verdict = grade(kind, expected, &text, digits);
        if verdict.raised {
            return Err(Error::Row {
                path: path.to_owned(),
                row,
                what: verdict.reason,
            });
        }
        let answer = Answer {
            source: Source::Inferred {
                row: row as u64,
                pass: pass as u64,
            },
            dataset: kind.name.clone(),
            extracted: verdict.extracted,
            correct: verdict.correct,
            reason: verdict.reason,
            token_count: number(&lengths[row]) as u64,
            repeats: kind.repeats,
            is_code: kind.is_code,
        };
        graded.push((answer, verdict.question_id, verdict.notes));
    }
    Ok(graded)
}

/// A length; a gap makes every mean that it is in a NaN, as in pandas.
fn number(cell: &Cell) -> f64 {
    match cell {
        Cell::Int(n) => *n as f64,
        Cell::Unsigned(n) => *n as f64,
        Cell::Float(n) => *n,
        Cell::Decimal(n) => n.to_string().parse().unwrap_or(f64::NAN),
        Cell::Bool(b) => f64::from(u8::from(*b)),
        Cell::Null | Cell::Text(_) => f64::NAN,
    }
}

impl Passes {
    /// The figures, once every program has its verdict.
    pub fn summary(&self) -> PassSummary {
        let passes = self.passes as usize;
        let mut right = vec![0u64; passes];
        let mut best = 0;
        for row in self.answers.answers.chunks(passes) {
            best += u64::from(row.iter().any(|a| a.correct));
            for (sum, answer) in right.iter_mut().zip(row) {
                *sum += u64::from(answer.correct);
            }
        }
        let percent = |n: u64| 100.0 * n as f64 / self.rows as f64;
        PassSummary {
            exact_match: percent(best),
            tokens_per_sample: self.tokens_per_sample,
            num_samples: self.rows,
            pass_k: self.passes,
            exact_match_pass: right.into_iter().map(percent).collect(),
        }
    }
}

impl fmt::Display for PassSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\nResults\n\n{{'exact_match': {}, 'tokens_per_sample': {}, 'num-samples': {}, 'pass_k': {}",
            float_repr(self.exact_match),
            float_repr(self.tokens_per_sample),
            self.num_samples,
            self.pass_k
        )?;
        for (i, pass) in self.exact_match_pass.iter().enumerate() {
            write!(f, ", 'exact_match_pass_{i}': {}", float_repr(*pass))?;
        }
        writeln!(f, "}}")?;
        writeln!(f, "\n'exact_match': {:.3}", self.exact_match)
    }
}
