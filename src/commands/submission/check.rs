//! `ossmark submission check`: runs the check, with `--originals` scores the whole logs again, and writes its files. What it
//! prints is in `told`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use ossmark_harmony::Detokenizer;
use ossmark_score::lcb::Problems;
use ossmark_score::{CodeRun, Reference, read_log};
use ossmark_submission::Severity;
use ossmark_submission::check::{self, Options, Originals, Rescored, Verdict};

use super::told;
use crate::children;
use crate::cli::SubmissionCheckArgs;
use crate::commands::score;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::{note, say};

pub(crate) fn check(args: &SubmissionCheckArgs) -> Result<Outcome> {
    if let Some(rule) = &args.explain {
        return told::explain(rule);
    }
    let input = args
        .input
        .as_deref()
        .context("missing DIR: the directory that holds closed/, open/ or network/")?;
    children::end_at_signal()?;
    let mut csv_file = output::claim_optional(args.csv.as_ref(), args.force)?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let options = Options {
        input,
        round: &args.round,
        submitter: args.submitter.as_deref(),
        official_only: args.official_only,
    };
    let report = match &args.originals {
        None => check::check(options)?,
        Some(dir) => with_originals(args, options, dir)?,
    };
    told::report(&report);
    if let Some(file) = &mut csv_file {
        file.write(report.csv().as_bytes())?;
    }
    if let Some(file) = &mut json_file {
        file.write_json(&report)?;
    }
    let asks = args.strict && report.count(Severity::Question) > 0;
    if asks {
        say!("not good: questions count here as errors do (--strict)");
    }
    Ok(match report.verdict {
        Verdict::Valid if !asks => Outcome::Good,
        _ => Outcome::NotGood,
    })
}

/// What the whole logs are scored with.
struct Scorer<'a> {
    args: &'a SubmissionCheckArgs,
    reference: Reference,
    tokenizer: Detokenizer,
    problems: Option<Problems>,
}

/// What the auditor brought is opened before anything is judged: a wrong file is no finding of the tree.
fn with_originals(
    args: &SubmissionCheckArgs,
    options: Options<'_>,
    dir: &Path,
) -> Result<check::Report> {
    if !dir.is_dir() {
        bail!(
            "--originals {}: not found, expected the directory with the whole logs that `ossmark submission truncate` set aside \
             (its --backup), or with the same layout",
            dir.display()
        );
    }
    let scorer = match (&args.reference, &args.tokenizer) {
        (Some(reference), Some(tokenizer)) => Some(Scorer {
            args,
            reference: Reference::open(reference, false)?,
            tokenizer: Detokenizer::load(tokenizer)?,
            problems: score::problems(&args.lcb_problems)?,
        }),
        _ => {
            note!(
                "ossmark: without --dataset and --tokenizer only hashes and lengths are compared, no score is made again"
            );
            None
        }
    };
    let mut again = |log: &Path| {
        let scorer = scorer.as_ref().ok_or_else(String::new)?;
        scorer.score(log).map_err(|error| format!("{error:#}"))
    };
    let is_scored = scorer.is_some();
    let originals = Originals {
        dir,
        score: is_scored.then_some(&mut again),
    };
    Ok(check::check_with(options, originals)?)
}

impl Scorer<'_> {
    fn score(&self, log: &Path) -> Result<Rescored> {
        let mut answers = read_log(log, &self.reference, &self.tokenizer)?;
        let has_programs = answers.code_answers() > 0;
        if has_programs {
            let problems = self.problems.as_ref().context(
                "its answers are programs as well; give --lcb-problems, LiveCodeBench's test*.jsonl",
            )?;
            let settings = score::sandbox(&self.args.python)?;
            let run = CodeRun {
                problems,
                settings: &settings,
                partial: None,
            };
            run.run(&mut answers, |_| ())?;
        }
        let summary = answers.report().summary();
        Ok(Rescored {
            exact_match: summary.final_score_percentage,
            has_programs,
        })
    }
}
