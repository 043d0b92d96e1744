//! From a row to a question with its answer. Owns what publishers' columns mean and what an answer must be.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use ossmark_files::Brief;

use crate::{
    Error, Reader, RecordPosition, Result, SourceRecipe,
    shuffle::Shuffler,
    source::{self, Field, Record},
};

/// A question as it will be asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Which of the source's files.
    pub(crate) file: usize,
    pub(crate) place: RecordPosition,
    /// In the order of [`Reader::parts`]; the first is the question itself.
    pub(crate) parts: Vec<String>,
    pub(crate) ground_truth: String,
}

/// Names under which publishers keep a question and its answer: opencompass/AIME2025 question, answer; MathArena/aime_2025
/// problem, answer; di-zhang-fdu/AIME_1983_2024 Question, Answer; Maxwell-Jia/AIME_2024 Problem, Answer; our own files last.
const QUESTION: [&str; 4] = ["question", "Question", "problem", "Problem"];
const GROUND_TRUTH: [&str; 3] = ["ground_truth", "answer", "Answer"];

/// All questions of a source: what the recipe asks for, in the files' order.
pub(crate) fn read(
    recipe: &SourceRecipe,
    reader: Reader,
    seed: u32,
    on_file: &dyn Fn(&Path),
) -> Result<Vec<Question>> {
    let fields = fields(recipe, reader);
    let mut shuffler = Shuffler::new(seed);
    let mut questions = Vec::new();
    let mut ids: HashMap<String, (PathBuf, RecordPosition)> = HashMap::new();
    for (file, path) in recipe.files.iter().enumerate() {
        on_file(path);
        for record in source::read(path, &fields)? {
            let place = record.place;
            let refuse = |what: String| Error::Row {
                path: path.clone(),
                place,
                what,
            };
            if reader == Reader::Code {
                if !in_window(recipe, &record).map_err(refuse)? {
                    continue;
                }
                // Counted twice, a question would weigh twice in the score.
                let id = record.values[1].clone().unwrap_or_default();
                if let Some((other, at)) = ids.insert(id.clone(), (path.clone(), place)) {
                    return Err(refuse(format!(
                        "question_id {id:?} is already in {}, {at}",
                        other.display()
                    )));
                }
            }
            let (parts, ground_truth) =
                question(reader, record.values, &mut shuffler).map_err(refuse)?;
            questions.push(Question {
                file,
                place,
                parts,
                ground_truth,
            });
        }
    }
    if let Some(limit) = recipe.limit {
        questions.truncate(limit);
    }
    Ok(questions)
}

fn fields(recipe: &SourceRecipe, reader: Reader) -> Vec<Field<'_>> {
    let named = |name: &'_ Option<String>, usual: &[&'static str]| match name {
        Some(_) => Vec::new(),
        None => usual.to_vec(),
    };
    match reader {
        Reader::Question | Reader::Integer => {
            let mut question = Field::new(&named(&recipe.question, &QUESTION));
            question.names.extend(recipe.question.as_deref());
            let mut truth = Field::new(&named(&recipe.ground_truth, &GROUND_TRUTH));
            truth.names.extend(recipe.ground_truth.as_deref());
            vec![question, truth]
        }
        // Idavidrein/gpqa, gpqa_diamond.csv.
        Reader::Choices => [
            "Question",
            "Correct Answer",
            "Incorrect Answer 1",
            "Incorrect Answer 2",
            "Incorrect Answer 3",
        ]
        .map(|name| Field::new(&[name]))
        .into(),
        // livecodebench/code_generation_lite, test*.jsonl.
        Reader::Code => vec![
            Field::new(&["question_content"]),
            Field::new(&["question_id"]),
            Field::optional(&["starter_code"]),
            Field::optional(&["contest_date"]),
        ],
    }
}

fn in_window(recipe: &SourceRecipe, record: &Record) -> Result<bool, String> {
    if recipe.from.is_none() && recipe.until.is_none() {
        return Ok(true);
    }
    let date = record.values[3].as_deref().unwrap_or_default();
    // Such as 2023-08-21T00:00:00. Dates in this form sort as text.
    let day = date.get(..10).unwrap_or(date);
    crate::recipe::check_date(day).map_err(|e| format!("contest_date {e}"))?;
    Ok(recipe.from.as_deref().is_none_or(|from| day >= from)
        && recipe.until.as_deref().is_none_or(|until| day <= until))
}

fn question(
    reader: Reader,
    values: Vec<Option<String>>,
    shuffler: &mut Shuffler,
) -> Result<(Vec<String>, String), String> {
    let mut values = values.into_iter().map(Option::unwrap_or_default);
    let mut next = || values.next().unwrap_or_default();
    let text = next();
    if text.trim().is_empty() {
        return Err("the question is empty".into());
    }
    match reader {
        Reader::Question => match next() {
            truth if truth.trim().is_empty() => Err("the answer is empty".into()),
            truth => Ok((vec![text], truth)),
        },
        Reader::Integer => integer(&next()).map(|truth| (vec![text], truth)),
        Reader::Choices => {
            let options: [String; 4] = std::array::from_fn(|_| next());
            if let Some(empty) = options.iter().position(|option| option.trim().is_empty()) {
                return Err(match empty {
                    0 => "the correct answer is empty".into(),
                    n => format!("incorrect answer {n} is empty"),
                });
            }
            let shuffled = shuffler.next().map(|option| options[option].clone());
            // The first that reads like it, as the reference looks it up: two options may be the same text.
            let at = shuffled
                .iter()
                .position(|option| *option == options[0])
                .unwrap_or_default();
            let letter = ["A", "B", "C", "D"][at];
            let parts = [vec![text], shuffled.into()].concat();
            Ok((parts, letter.into()))
        }
        Reader::Code => {
            let (id, starter) = (next(), next());
            match id.trim().is_empty() {
                true => Err("the question_id is empty".into()),
                false => Ok((vec![text, starter], id)),
            }
        }
    }
}

/// An answer of AIME: 0 to 999, which may be written with leading zeros, as a float or a decimal ("42.00"), or in degrees
/// ("336^\circ" stands in opencompass/AIME2025).
fn integer(text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = trimmed.split_at(digits);
    match number.parse::<u64>() {
        Ok(number @ 0..=999)
            if nothing(unit) || matches!(unit, "" | "°" | "^\\circ" | "^{\\circ}") =>
        {
            Ok(number.to_string())
        }
        _ => Err(format!(
            "the answer is \"{}\", expected a whole number from 0 to 999",
            Brief(text)
        )),
    }
}

/// A point and zeros.
fn nothing(decimals: &str) -> bool {
    let zeros = decimals.strip_prefix('.').unwrap_or_default();
    !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_aime_are_numbers() {
        for (text, number) in [
            ("70", "70"),
            ("025", "25"),
            (" 0 ", "0"),
            ("336^\\circ", "336"),
            ("12.0", "12"),
            ("0.00000000", "0"),
            ("042.000", "42"),
        ] {
            assert_eq!(integer(text).unwrap(), number);
        }
        for text in [
            "",
            "1000",
            "-1",
            "12.5",
            "12.50",
            "12.",
            "12.0.0",
            "12e1",
            "x",
            "12 or 13",
            "99999999999999999999999",
        ] {
            assert!(
                integer(text)
                    .unwrap_err()
                    .contains("expected a whole number from 0 to 999"),
                "{text}"
            );
        }
    }
}
