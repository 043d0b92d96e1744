//! Whether an accuracy log belongs to the files that it is scored with. A scorer cannot see it: tokens of another tokenizer
//! are text as well, and rows of another data set are questions as well; the score is wrong and nothing fails.
//!
//! What the run left beside its log knows better: `run_plan.json` (mode, data set, tokenizer) and LoadGen's own detail log
//! (mode). Owns the comparison; what the answers themselves look like is judged in `crates/score` (`plausible`). Reads only.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use ossmark_dataset::{Dataset, file_sha256};
use ossmark_files::Escaped;
use ossmark_logs::DETAIL;
use ossmark_logs::detail_log::DetailLog;
use serde_json::Value;

use crate::terminal::note;

/// What a log is to be scored with.
pub(crate) struct Pairing<'a> {
    pub(crate) log: &'a Path,
    pub(crate) reference: &'a Path,
    /// Rows of the reference data.
    pub(crate) rows: usize,
    pub(crate) tokenizer: &'a Path,
}

/// The file behind `--tokenizer` or `--model`.
pub(crate) fn tokenizer_file(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => path.join("tokenizer.json"),
        false => path.to_owned(),
    }
}

/// What `run_plan.json` says about the tokenizer of the model that answers; null where nothing is known of it.
pub(crate) fn tokenizer_json(model: Option<&Path>) -> Result<Value> {
    // One that is there and cannot be read is an error: a score with it could never be held against the run.
    let there = |file: &PathBuf| {
        let found = file.symlink_metadata();
        !found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    Ok(match model.map(tokenizer_file).filter(there) {
        None => Value::Null,
        Some(file) => serde_json::json!({ "path": file, "file_sha256": file_sha256(&file)? }),
    })
}

/// The plan of a run; none where there is none, and what is wrong with one that cannot be used.
fn plan(file: &Path) -> Result<Option<Value>, String> {
    let bytes = match ossmark_files::read(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| error.to_string())?,
    };
    let plan: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    match plan["mode"].is_string() && plan["ossmark"].is_object() {
        true => Ok(Some(plan)),
        false => Err("found no mode and version of ossmark in it".into()),
    }
}

impl Pairing<'_> {
    /// Refuses what does not belong together. `otherwise` says how to score it all the same.
    ///
    /// # Errors
    /// Names every contradiction.
    pub(crate) fn refuse(&self, otherwise: &str) -> Result<()> {
        let found = self.contradictions()?;
        if found.is_empty() {
            return Ok(());
        }
        bail!(
            "{}: this log was not made for the files that it is to be scored with, so that the score would be wrong:\n  {}\ngive \
             the files of the run, or {otherwise}",
            Escaped::path(self.log),
            found.join("\n  ")
        )
    }

    /// Every contradiction, each a sentence.
    pub(crate) fn contradictions(&self) -> Result<Vec<String>> {
        // A link to a log belongs to the run that it leads to.
        let log = self.log.canonicalize();
        let log = log.as_deref().unwrap_or(self.log);
        let dir = log.parent().unwrap_or(Path::new(""));
        let plan_file = dir.join("run_plan.json");
        let mut found = Vec::new();
        match plan(&plan_file) {
            Ok(Some(plan)) => self.compare(&plan, &plan_file, &mut found)?,
            Ok(None) => found.extend(mode_of(&dir.join(DETAIL))),
            Err(why) => {
                note!(
                    "ossmark: warning: {}: {why}, expected the plan of the run that made this log; whether the log belongs to these \
                     files was not compared with it",
                    plan_file.display()
                );
                found.extend(mode_of(&dir.join(DETAIL)));
            }
        }
        Ok(found)
    }

    fn compare(&self, plan: &Value, plan_file: &Path, found: &mut Vec<String>) -> Result<()> {
        let plan_file = Escaped::path(plan_file);
        let mode = plan["mode"].as_str().unwrap_or_default();
        // A compliance test logs the answers of a performance run.
        if mode != "accuracy" && plan["audit_config"].is_null() {
            found.push(format!(
                "{plan_file}: found the mode \"{}\", expected \"accuracy\": other runs do not log every answer",
                Escaped(mode)
            ));
        }
        let dataset = &plan["dataset"];
        if dataset.is_null() {
            found.push(format!(
                "{plan_file}: the run was made without a data set (made-up prompts), and --dataset is {}",
                Escaped::path(self.reference)
            ));
        } else if let Some(why) = self.other_dataset(dataset)? {
            found.push(format!(
                "{plan_file}: the run was made with {}, and --dataset is {}: {why}",
                shown(&dataset["path"]),
                Escaped::path(self.reference)
            ));
        }
        if let Some(made_with) = plan["tokenizer"]["file_sha256"].as_str() {
            let file = tokenizer_file(self.tokenizer);
            let here = file_sha256(&file)?;
            if here != made_with {
                found.push(format!(
                    "{plan_file}: the model that answered has the tokenizer {} (SHA-256 {made_with:.16}...), and --tokenizer is {} \
                     ({here:.16}...)",
                    shown(&plan["tokenizer"]["path"]),
                    Escaped::path(&file)
                ));
            }
        }
        Ok(())
    }

    /// How the reference differs from the data set of the run; None when nothing shows that it does. The same prompts in the
    /// same order are the same questions, in whatever file.
    fn other_dataset(&self, dataset: &Value) -> Result<Option<String>> {
        let rows = dataset["rows"].as_u64();
        if rows.is_some_and(|rows| rows != self.rows as u64) {
            return Ok(Some(format!(
                "that has {} rows, this has {}",
                rows.unwrap_or_default(),
                self.rows
            )));
        }
        let made_with = dataset["file_sha256"].as_str();
        if self.reference.is_file() && made_with == Some(file_sha256(self.reference)?.as_str()) {
            return Ok(None);
        }
        // Without prompts, or not in a form that has them, it cannot be compared.
        let Ok(reference) = Dataset::open(self.reference) else {
            return Ok(None);
        };
        let prompts = dataset["content_sha256"].as_str();
        Ok(match prompts {
            Some(prompts) if prompts != reference.content_sha256 => {
                Some("the prompts are others, or in another order".into())
            }
            _ => None,
        })
    }
}

/// What LoadGen's detail log says where there is no plan.
fn mode_of(detail: &Path) -> Option<String> {
    let log = DetailLog::read(detail).ok()?;
    let mode = log.str("effective_test_mode")?;
    // The warning of a compliance test, which logs the answers of a performance run.
    let is_audit = log.warnings.iter().any(|w| w.contains("Audit Config"));
    (mode != "AccuracyOnly" && mode != "SubmissionRun" && !is_audit).then(|| {
        format!(
            "{}: found the mode \"{}\", expected \"AccuracyOnly\": other runs do not log every answer",
            Escaped::path(detail),
            Escaped(mode)
        )
    })
}

fn shown(path: &Value) -> String {
    Escaped(path.as_str().unwrap_or("?")).to_string()
}
