//! The accuracy run of a point: its answers graded by `score`'s graders, in the client's file. Said to be ours.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ossmark_endpoints::rehearsal::{self, Answered, STAMP};
use ossmark_files::write_whole;
use ossmark_protocol::TokenId;
use ossmark_score::lcb::{Problems, Settings};
use ossmark_score::{CodeRun, Reference, Report, read_log};
use serde_json::{Value, json};

use super::asked::Asked;
use crate::cli::EndpointsRunArgs;
use crate::commands::confine;
use crate::commands::endpoints::Counting;

/// What is asked and what is right.
pub(super) struct Accuracy {
    pub(super) file: PathBuf,
    pub(super) prompts: Vec<Arc<[TokenId]>>,
    pub(super) max_new_tokens: u32,
    reference: Reference,
    problems: Option<Problems>,
    settings: Settings,
}

/// What came of it.
pub(super) struct Scored {
    pub(super) failed: usize,
    /// Per cent, data sets weighted by their questions, as MLCommons' checker does.
    pub(super) exact_match: f64,
    pub(super) sentence: String,
}

impl Accuracy {
    /// `None` where no accuracy data set was given.
    pub(super) fn of(args: &EndpointsRunArgs, asked: &mut Asked) -> Result<Option<Self>> {
        let Some(file) = &args.accuracy_dataset else {
            return Ok(None);
        };
        let dataset = asked.open(file)?;
        let rows = u32::try_from(dataset.len()).context("--accuracy-dataset")?;
        let reference = Reference::open(file, false)?;
        if reference.has_code() && args.lcb_problems.is_empty() {
            bail!(
                "--accuracy-dataset {}: has livecodebench questions, and --lcb-problems is missing: give LiveCodeBench's test*.jsonl",
                file.display()
            );
        }
        let problems = (!args.lcb_problems.is_empty()).then(|| Problems::load(&args.lcb_problems));
        Ok(Some(Self {
            file: file.clone(),
            prompts: asked.prompts(&dataset, rows)?,
            max_new_tokens: args.accuracy_max_new_tokens,
            reference,
            problems: problems.transpose()?,
            settings: Settings {
                helper: confine::helper()?,
                ..Settings::default()
            },
        }))
    }

    /// Grades the answers in a run's log, and writes `accuracy_results.json` beside it.
    pub(super) fn score(
        &self,
        dir: &Path,
        order: &[(String, u32)],
        tokens: &Counting,
    ) -> Result<Scored> {
        let answers = rehearsal::answers(dir)?;
        let of_uuid: HashMap<&str, u32> = order
            .iter()
            .map(|(uuid, row)| (uuid.as_str(), *row))
            .collect();
        let answered = answers.iter().filter(|answer| !answer.failed).count();
        let (failed, empty) = (
            order.len() - answered,
            answers
                .iter()
                .filter(|answer| !answer.failed && answer.text.is_empty())
                .count(),
        );
        let log = dir.join("mlperf_log_accuracy.json");
        write_whole(&log, entries(&answers, &of_uuid, tokens)?.as_bytes())?;
        let mut graded = read_log(&log, &self.reference, tokens.0.vocabulary())?;
        if let Some(problems) = &self.problems {
            let run = CodeRun {
                problems,
                settings: &self.settings,
                partial: None,
            };
            run.run(&mut graded, |_| ())?;
        }
        let report = graded.report();
        let results = results(&report, order.len(), failed, empty);
        let text = serde_json::to_string_pretty(&results)?;
        write_whole(&dir.join("accuracy_results.json"), text.as_bytes())?;
        let exact_match = 100.0 * exact_match(&report);
        Ok(Scored {
            failed,
            exact_match,
            sentence: format!(
                "exact_match {exact_match:.3} of {} answers, {failed} failed",
                order.len()
            ),
        })
    }
}

/// An accuracy log as LoadGen writes one, which the graders read: ids of the texts, and the stop token where there was one.
fn entries(answers: &[Answered], rows: &HashMap<&str, u32>, tokens: &Counting) -> Result<String> {
    let stop = tokens.0.vocabulary().added_id("<|return|>");
    let mut log = String::from("[");
    let counted = answers.iter().filter(|answer| !answer.failed);
    for (seq, answer) in counted.enumerate() {
        let row = rows
            .get(answer.uuid.as_str())
            .context("an answer to no request of the run")?;
        let mut ids = tokens.0.encode_with_control_tokens(&answer.text)?;
        ids.extend(stop.filter(|_| answer.is_stop));
        let comma = if seq == 0 { "" } else { "," };
        // Writing into a string cannot fail.
        let _ = write!(
            log,
            "{comma}\n{{\"seq_id\":{seq},\"qsl_idx\":{row},\"data\":\""
        );
        for byte in ids.iter().flat_map(|id| id.to_le_bytes()) {
            let _ = write!(log, "{byte:02X}");
        }
        let _ = write!(log, "\",\"token_count\":{}}}", ids.len());
    }
    log.push_str("\n]\n");
    Ok(log)
}

/// A fraction: the mean over data sets, each weighing as many as it has questions.
fn exact_match(report: &Report) -> f64 {
    let (mut right, mut all) = (0.0, 0.0);
    for tally in report.datasets.values() {
        right += tally.correct as f64 / tally.repeats as f64;
        all += tally.total as f64 / tally.repeats as f64;
    }
    if all > 0.0 { right / all } else { 0.0 }
}

/// The client's form. Requests that failed are not told by data set: nothing says which row's they would have been.
fn results(report: &Report, issued: usize, failed: usize, empty: usize) -> Value {
    let mut scores = Vec::new();
    for (name, tally) in &report.datasets {
        let score = tally.correct as f64 / tally.total.max(1) as f64;
        scores.push(json!({
            "dataset_name": format!("{name}::gptoss"),
            "dataset_type": "accuracy",
            "extractor": "ossmark score",
            "ground_truth_column": "ground_truth",
            "score": {"exact_match": score},
            "complete": failed == 0,
            "unit_samples": tally.total / tally.repeats.max(1),
            "num_repeats": tally.repeats,
            "total_samples": tally.total,
            "response_counts": {"issued": tally.total, "scored": tally.total, "empty": 0, "missing": 0},
        }));
    }
    json!({
        "rehearsal": STAMP,
        "graders": "ossmark score, not MLCommons' client",
        "average_accuracy": exact_match(report),
        "requests": {"issued": issued, "failed": failed, "empty": empty},
        "accuracy_scores": scores,
    })
}
