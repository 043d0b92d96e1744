//! Questions with known answers, some of a file, and the grades of answers to them: the scorer's, by a log as LoadGen writes
//! it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use ossmark_dataset::Dataset;
use ossmark_harmony::Detokenizer;
use ossmark_score::grade::Extracted;
use ossmark_score::{Reference, read_log};
use serde_json::json;

use crate::output;

pub(super) struct Questions {
    pub(super) prompts: Vec<Vec<u32>>,
    /// The row of each.
    rows: Vec<usize>,
    reference: Reference,
}

impl Questions {
    /// At most `most` rows, from all over the file, whose answers are no programs.
    pub(super) fn open(file: &Path, most: usize) -> Result<Self> {
        let dataset = Dataset::open(file)?;
        let reference = Reference::open(file, false)?;
        let is_text = |row: &usize| reference.row(*row).is_ok_and(|(kind, _)| !kind.is_code);
        let all: Vec<usize> = (0..dataset.len().min(reference.rows()))
            .filter(is_text)
            .collect();
        if all.is_empty() {
            bail!(
                "{}: found no question whose answer is a text, expected rows of aime25, gpqa_diamond or others that are graded \
                 without running programs",
                file.display()
            );
        }
        let step = all.len().div_ceil(most).max(1);
        let rows: Vec<usize> = all.into_iter().step_by(step).collect();
        Ok(Self {
            prompts: rows
                .iter()
                .map(|row| dataset.prompts[*row].to_vec())
                .collect(),
            rows,
            reference,
        })
    }

    /// How many answers are right, and from how many one could be read.
    pub(super) fn grade(
        &self,
        answers: &[Vec<u32>],
        tokenizer: &Detokenizer,
    ) -> Result<(usize, usize)> {
        let hex = |answer: &[u32]| -> String {
            let bytes = answer.iter().flat_map(|token| token.to_le_bytes());
            bytes.map(|byte| format!("{byte:02X}")).collect()
        };
        // Nothing was answered: nothing to read.
        let answered = self
            .rows
            .iter()
            .zip(answers)
            .filter(|(_, answer)| !answer.is_empty());
        let entries = answered.enumerate().map(|(n, (row, answer))| {
            json!({ "seq_id": n, "qsl_idx": row, "data": hex(answer), "token_count": answer.len() })
        });
        let entries: Vec<serde_json::Value> = entries.collect();
        if entries.is_empty() {
            return Ok((0, 0));
        }
        let tmp = tempfile::tempdir().context("cannot have a directory for the answers")?;
        let log = tmp.path().join(ossmark_logs::ACCURACY);
        output::write_whole(&log, serde_json::to_string(&entries)?.as_bytes())?;
        let graded = read_log(&log, &self.reference, tokenizer)?;
        let is_read = |extracted: &Extracted| match extracted {
            Extracted::None => false,
            Extracted::Text(text) => !text.is_empty(),
            Extracted::Integer(_) => true,
        };
        let correct = graded
            .answers
            .iter()
            .filter(|answer| answer.correct)
            .count();
        let readable = graded
            .answers
            .iter()
            .filter(|answer| is_read(&answer.extracted))
            .count();
        Ok((correct, readable))
    }
}
