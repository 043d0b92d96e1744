//! The record that `infer` leaves, in a directory beside its output, for `report`, `compare` and `runs`: made of the journal
//! when the command ends. It is never a reason to fail.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ossmark_dataset::Dataset;
use ossmark_files::{Directory, Escaped};
use ossmark_infer::{End, Ended, Journal};
use ossmark_record::Row;
use serde_json::{Value, json};

use crate::cli::InferArgs;
use crate::output;
use crate::run::provenance::provenance;
use crate::terminal::note;

/// Where it will be.
pub(super) struct RecordDirectory(Directory);

/// Claims the directory; a command that goes on with a journal replaces what the one before has left there.
pub(super) fn claim(args: &InferArgs, goes_on: bool) -> Result<Option<RecordDirectory>> {
    if args.no_record {
        return Ok(None);
    }
    let mut name = args.output.as_os_str().to_owned();
    name.push(".record");
    let dir = PathBuf::from(name);
    let directory = match goes_on {
        true => Directory::claim(&dir)
            .with_context(|| format!("{}: cannot have the directory", Escaped::path(&dir)))?,
        false => output::claim_directory(&dir, args.force)?.make_room()?.0,
    };
    Ok(Some(RecordDirectory(directory)))
}

impl RecordDirectory {
    /// Writes the record of all that has ended so far. What is wrong with it is said; what became of it is for `--json`.
    pub(super) fn write(self, journal: &Journal, dataset: &Dataset, plan: &Value) -> Value {
        let dir = self.0.path();
        match write(dir, journal, dataset, plan) {
            Ok(rows) => json!({ "dir": dir, "rows": rows }),
            Err(error) => {
                note!("ossmark: warning: there is no record of this call: {error:#}");
                json!({ "dir": dir, "rows": 0, "reason": format!("{error:#}") })
            }
        }
    }
}

fn write(dir: &Path, journal: &Journal, dataset: &Dataset, plan: &Value) -> Result<u64> {
    let passes = u64::from(journal.passes());
    let row = |ended: Ended| {
        let prompt = dataset.prompts.get(ended.row as usize);
        let is_answer = matches!(ended.end, End::Stop | End::Length);
        Row {
            request: u64::from(ended.row) * passes + u64::from(ended.pass),
            sample_index: ended.row,
            prompt_tokens: prompt.map_or(0, |tokens| tokens.len() as u32),
            output_tokens: ended.tokens,
            // Nobody wanted it at a time.
            scheduled_ns: None,
            issued_ns: ended.times.map(|times| times.issued_ns),
            first_token_ns: ended.times.and_then(|times| times.first_token_ns),
            completed_ns: ended
                .times
                .filter(|_| is_answer)
                .map(|times| times.ended_ns),
            end: match ended.end {
                End::Stop => ossmark_record::End::Stop,
                End::Length => ossmark_record::End::Length,
                End::Failed => ossmark_record::End::Failed,
                End::GivenUp => ossmark_record::End::Cancelled,
            },
            engine: ended.times.map_or(0, |times| times.engine),
        }
    };
    let mut rows = Vec::new();
    for ended in journal.ended().take(ossmark_record::MAX_ROWS as usize) {
        rows.push(row(ended?));
    }
    let count = rows.len() as u64;
    let ended = journal.answered() + journal.failed();
    ossmark_record::write(dir, rows, ended.saturating_sub(count))?;
    output::write_json(&dir.join("run_plan.json"), plan)?;
    Ok(count)
}

/// What was asked, in the words of a run's plan.
pub(super) fn plan(engine: &str, settings: &Value) -> Value {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    json!({
        "ossmark": provenance(false),
        "command": words.collect::<Vec<_>>(),
        "mode": "infer",
        "engine": engine,
        "infer": settings,
    })
}
