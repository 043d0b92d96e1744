//! From a log to graded answers. Programs are taken out of their answers here and run elsewhere (`code`).

use std::path::Path;

use ossmark_harmony::Detokenizer;
use ossmark_python::IntDigits;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;

use crate::{
    DatasetKind, Finding, Findings, LogReader, RawEntry, Reference, Report, Result, Row,
    grade::{Evaluator, Extracted, GroundTruth, Quirk},
};

/// One graded answer. Serialised, it is a line of the details file.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// Where it comes from.
    #[serde(flatten)]
    pub source: Source,
    /// Its data set, in lower case.
    pub dataset: String,
    /// What was read out of the text.
    pub extracted: Extracted,
    /// The verdict.
    pub correct: bool,
    /// Why, in the reference's words.
    pub reason: String,
    /// Tokens of the answer.
    pub token_count: u64,
    #[serde(skip)]
    pub(crate) repeats: u64,
    #[serde(skip)]
    pub(crate) is_code: bool,
}

/// Where an answer comes from.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Source {
    /// An entry of an accuracy log.
    Log {
        /// LoadGen's running number, as the log has it.
        seq_id: Value,
        /// The row of the reference data.
        qsl_idx: u64,
    },
    /// A cell of a file of inferred outputs.
    Inferred {
        /// The file's row.
        row: u64,
        /// Which `model_output_` column.
        pass: u64,
    },
}

/// A program that is still to be run.
#[derive(Clone, Debug)]
pub struct Program {
    /// The answer that holds it, by its place in [`Answers::answers`].
    pub answer: usize,
    /// Which problem it is to solve.
    pub question_id: String,
}

/// All answers of a log, programs not yet run.
pub struct Answers {
    /// In the log's order.
    pub answers: Vec<Answer>,
    /// What is still to be run.
    pub programs: Vec<Program>,
    /// What an auditor should know.
    pub(crate) findings: Findings,
    /// Whether some answer is long enough to hold a number at which Python's limit of digits could matter.
    pub(crate) long_numbers: bool,
}

impl Answers {
    /// The score, once every program has its verdict.
    pub fn report(&self) -> Report {
        let mut report = Report::default();
        for answer in &self.answers {
            report.count(&answer.dataset, answer.repeats, answer.correct);
        }
        report
    }

    /// How many answers are to questions that are answered by programs, with or without a program in them.
    pub fn code_answers(&self) -> usize {
        self.answers.iter().filter(|a| a.is_code).count()
    }

    /// The findings, by rule.
    pub fn findings(&self) -> Vec<&Finding> {
        self.findings.list()
    }
}

/// What is handed to the threads at once: enough to keep them busy, little enough to hold.
const BATCH_ENTRIES: usize = 1024;
const BATCH_BYTES: usize = 64 << 20;

/// Reads a log and grades what can be graded without running anything.
///
/// # Errors
/// Where the reference ends with an exception: the log is no list of entries, an entry has no row or no whole tokens, a
/// row's data set has no grader.
pub fn read_log(path: &Path, reference: &Reference, tokenizer: &Detokenizer) -> Result<Answers> {
    let assumed = IntDigits::of_log(reference.has_code());
    let answers = read_with(path, reference, tokenizer, assumed)?;
    let actual = IntDigits::of_log(answers.code_answers() > 0);
    if actual == assumed || !answers.long_numbers {
        return Ok(answers);
    }
    read_with(path, reference, tokenizer, actual)
}

/// `digits` depends on whether the log holds programs at all, which is known at its end.
fn read_with(
    path: &Path,
    reference: &Reference,
    tokenizer: &Detokenizer,
    digits: IntDigits,
) -> Result<Answers> {
    let mut log = LogReader::open(path)?;
    let mut out = Answers {
        answers: Vec::new(),
        programs: Vec::new(),
        findings: Findings::default(),
        long_numbers: false,
    };
    let mut answered = vec![false; reference.rows()];
    loop {
        let batch = next_batch(&mut log)?;
        if batch.is_empty() {
            break;
        }
        let graded: Vec<Result<Option<Graded>>> = batch
            .par_iter()
            .map(|raw| grade_entry(raw, path, reference, tokenizer, digits))
            .collect();
        for (raw, graded) in batch.iter().zip(graded) {
            let place = || format!("entry {}", raw.number);
            let Some(graded) = graded? else {
                out.findings.add("out_of_range", OUT_OF_RANGE, place);
                continue;
            };
            let index = out.answers.len();
            if std::mem::replace(&mut answered[graded.row], true) {
                out.findings.add("duplicate", DUPLICATE, place);
            }
            for (rule, message, count) in graded.notes {
                out.findings.add_many(rule, message, count, place);
            }
            if let Some(question_id) = graded.question_id {
                out.programs.push(Program {
                    answer: index,
                    question_id,
                });
            }
            out.long_numbers |= graded.long_number;
            out.answers.push(graded.answer);
        }
    }
    if !tokenizer.has_harmony() {
        out.findings
            .add("no_harmony", NO_HARMONY, || path.display().to_string());
    }
    if out.answers.is_empty() {
        out.findings
            .add("no_answers", NO_ANSWERS, || path.display().to_string());
    }
    let missing = answered.iter().filter(|seen| !**seen).count() as u64;
    out.findings.add_many("missing", MISSING, missing, || {
        format!(
            "row {}",
            answered.iter().position(|seen| !seen).unwrap_or_default()
        )
    });
    Ok(out)
}

const OUT_OF_RANGE: &str =
    "entries name a row that the reference data does not have: skipped, as the reference does";
const NEGATIVE: &str = "entries name a row by a negative number, which counts from the last row back, as in the reference";
const DUPLICATE: &str =
    "entries answer a row that was answered before: each counts, as in the reference";
const MISSING: &str =
    "rows of the reference data have no answer in the log: not counted, as in the reference";
const NO_ANSWERS: &str = "the log answers nothing: the score is 0, as in the reference; is it the log of an accuracy run?";
const NO_FIRST_TOKEN: &str = "entries lack their first token (data does not begin with token_data): scored without it, as the reference does";
const TOKEN_COUNT: &str = "entries count more or fewer tokens than their data holds";
const UNKNOWN_IDS: &str = "tokens are not in the tokenizer: left out of the text, as the reference does; is it the model's tokenizer?";
const NO_HARMONY: &str = "the tokenizer has no <|channel|> and <|message|>, which separate reasoning from answers; is it the model's tokenizer?";
const EMPTY: &str = "answers have no tokens";

fn next_batch<R: std::io::BufRead>(log: &mut LogReader<R>) -> Result<Vec<RawEntry>> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while batch.len() < BATCH_ENTRIES && bytes < BATCH_BYTES {
        match log.next_raw()? {
            Some(entry) => {
                bytes += entry.json.len();
                batch.push(entry);
            }
            None => break,
        }
    }
    Ok(batch)
}

/// Whether a number of more digits than Python converts by default stands in the text.
fn has_long_number(text: &str) -> bool {
    const LIMIT: usize = 4300;
    let mut run = 0;
    text.len() > LIMIT
        && text.chars().any(|c| {
            run = if c.is_numeric() || c == '_' {
                run + 1
            } else {
                0
            };
            run > LIMIT
        })
}

struct Graded {
    row: usize,
    answer: Answer,
    question_id: Option<String>,
    notes: Vec<QuirkCount>,
    long_number: bool,
}

/// None for an entry that the reference passes over.
fn grade_entry(
    raw: &RawEntry,
    path: &Path,
    reference: &Reference,
    tokenizer: &Detokenizer,
    digits: IntDigits,
) -> Result<Option<Graded>> {
    let entry = raw.parse(path)?;
    let (row, negative) = match entry.row(reference.rows(), path)? {
        Row::OutOfRange => return Ok(None),
        Row::At { row, negative } => (row, negative),
    };
    let (kind, truth) = reference.row(row)?;
    let seq_id = entry.seq_id(path)?;
    let tokens = entry.tokens(path)?;
    let decoded = tokenizer.decode(&tokens);
    let verdict = grade(kind, truth, &decoded.text, digits);
    // Where there are no programs at all, the limit is known from the start.
    let long_number = reference.has_code() && !kind.is_code && has_long_number(&decoded.text);
    let mut notes = verdict.notes;
    let counted = entry.token_count.as_ref().and_then(Value::as_u64);
    for (rule, message, count) in [
        ("negative_index", NEGATIVE, u64::from(negative)),
        (
            "first_token_missing",
            NO_FIRST_TOKEN,
            u64::from(entry.lacks_first_token(&tokens)),
        ),
        (
            "token_count",
            TOKEN_COUNT,
            u64::from(counted.is_some_and(|n| n != tokens.len() as u64)),
        ),
        ("unknown_tokens", UNKNOWN_IDS, decoded.unknown_ids as u64),
        ("empty", EMPTY, u64::from(tokens.is_empty())),
    ] {
        notes.push((rule, message, count));
    }
    let answer = Answer {
        source: Source::Log {
            seq_id,
            qsl_idx: row as u64,
        },
        dataset: kind.name.clone(),
        extracted: verdict.extracted,
        correct: verdict.correct,
        reason: verdict.reason,
        token_count: tokens.len() as u64,
        repeats: kind.repeats,
        is_code: kind.is_code,
    };
    Ok(Some(Graded {
        row,
        answer,
        question_id: verdict.question_id,
        notes,
        long_number,
    }))
}

/// What one text is worth.
pub(crate) struct Verdict {
    pub(crate) extracted: Extracted,
    pub(crate) correct: bool,
    pub(crate) reason: String,
    /// The problem that a program still has to be run against.
    pub(crate) question_id: Option<String>,
    pub(crate) notes: Vec<QuirkCount>,
    /// The reference raised an exception while it graded.
    pub(crate) raised: bool,
}

/// Rule, what it means, how often.
pub(crate) type QuirkCount = (&'static str, &'static str, u64);

/// Reads the answer out of a text and, unless it is a program, grades it.
pub(crate) fn grade(
    kind: &DatasetKind,
    truth: &GroundTruth,
    text: &str,
    digits: IntDigits,
) -> Verdict {
    let extraction = kind.evaluator.extract(text, digits);
    let extracted = extraction.answer;
    let mut quirks = extraction.quirks;
    // A data set whose name holds livecodebench after another evaluator's is read as that one and run as a program.
    let evaluator = if kind.is_code {
        Evaluator::LiveCodeBench
    } else {
        kind.evaluator
    };
    let (correct, reason, question_id) = match evaluator.grade(&extracted, truth, digits) {
        Some(grade) => {
            quirks.extend(grade.quirks);
            (grade.correct, grade.reason, None)
        }
        None => match truth {
            GroundTruth::Text(question_id) => {
                (false, NOT_RUN.to_owned(), Some(question_id.clone()))
            }
            // Problems go by text: a number equals none of them, whatever it looks like.
            other => (
                false,
                format!("Question ID '{other}' not found in benchmark"),
                None,
            ),
        },
    };
    Verdict {
        extracted,
        correct,
        reason,
        question_id,
        raised: quirks.contains(&Quirk::EvaluationError),
        notes: quirks.iter().map(|q| (q.name(), q.text(), 1)).collect(),
    }
}

/// What a program's answer says until it has been run.
const NOT_RUN: &str = "not run";
