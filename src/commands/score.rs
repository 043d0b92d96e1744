//! `ossmark score`: the accuracy score of a log, or pass@k of a file of inferred outputs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ossmark_harmony::Detokenizer;
use ossmark_score::lcb::{LcbReport, Problems, Settings as LcbSettings, TimeLimit};
use ossmark_score::{Answers, CodeProgress, CodeRun, Reference, read_log, read_passes};
use serde_json::{Value, json};

use crate::children;
use crate::cli::{ScoreArgs, TimeLimitArg};
use crate::exit::Outcome;
use crate::output::{self, Output};
use crate::pairing::Pairing;
use crate::terminal::{Bar, note, page, progress, text::counted};

pub(crate) fn score(args: &ScoreArgs) -> Result<Outcome> {
    if args.log_hash && args.accuracy_txt.is_none() {
        bail!("--log-hash: the hash goes into accuracy.txt; give --accuracy-txt FILE as well");
    }
    children::end_at_signal()?;
    let files = Files {
        details: output::claim_optional(args.details.as_ref(), args.force)?,
        accuracy_txt: output::claim_optional(args.accuracy_txt.as_ref(), args.force)?,
        json: output::claim_optional(args.json.as_ref(), args.force)?,
    };
    match (&args.log, &args.inferred) {
        (Some(log), None) => score_log(args, files, log),
        (None, Some(file)) => score_inferred(args, files, file),
        _ => bail!("expected RUN_DIR or --inferred FILE.parquet"),
    }
}

/// What will be written.
struct Files {
    details: Option<Output>,
    accuracy_txt: Option<Output>,
    json: Option<Output>,
}

/// The log itself, where a run's directory is given, or that of a result in a submission.
fn log_of(given: &Path) -> Result<PathBuf> {
    let log = match given.is_dir() {
        true => ossmark_submission::audit::file_of_run(given, ossmark_logs::ACCURACY),
        false => given.to_owned(),
    };
    if given.is_dir() && !log.exists() {
        bail!(
            "{}: found no {} in it, expected the directory of an accuracy run",
            given.display(),
            ossmark_logs::ACCURACY
        );
    }
    if let Some(cut) = ossmark_submission::truncate::cut(&log) {
        bail!("{}: {cut}", log.display());
    }
    Ok(log)
}

impl Files {
    /// Names what was written, on standard error: the last line on standard output is the score.
    fn tell(&self) {
        for (file, what) in [
            (&self.accuracy_txt, "the result, for a submission"),
            (&self.details, "a line for each answer"),
            (&self.json, "the result as JSON"),
        ] {
            if let Some(file) = file.as_ref().filter(|file| !file.is_stream()) {
                note!("wrote {} ({what})", file.path().display());
            }
        }
    }
}

fn score_log(args: &ScoreArgs, mut files: Files, log: &Path) -> Result<Outcome> {
    let log = &log_of(log)?;
    let reference = args.reference.as_deref().context(
        "missing --dataset FILE: the accuracy data set, with the columns dataset and ground_truth",
    )?;
    let tokenizer = args.tokenizer.as_deref().context(
        "missing --tokenizer PATH: the model's directory or its tokenizer.json, which turns the log's tokens into text",
    )?;
    let pairing = |rows| Pairing {
        log,
        reference,
        rows,
        tokenizer,
    };
    let rows = Reference::open(reference, args.allow_pickle)?;
    if args.anyway {
        for contradiction in pairing(rows.rows()).contradictions()? {
            note!("ossmark: warning: {contradiction}");
        }
    } else {
        pairing(rows.rows()).refuse("--anyway to score it all the same")?;
    }
    let reference = rows;
    let tokenizer = Detokenizer::load(tokenizer)?;
    let mut answers = read_log(log, &reference, &tokenizer)?;
    let code = run_code(args, &files, &mut answers)?;
    answers.note_implausible();
    let report = answers.report();
    let text = report.to_string();
    let hash = match &args.json {
        None if !args.log_hash => None,
        _ => Some(ossmark_dataset::file_sha256(log)?),
    };
    if let Some(file) = &mut files.accuracy_txt {
        let mut text = text.clone();
        if args.log_hash {
            text += &format!("\nhash={}\n", hash.as_deref().unwrap_or_default());
        }
        file.write(text.as_bytes())?;
    }
    let summary = report.summary();
    let result = json!({
        "exact_match": summary.final_score_percentage,
        "summary": summary,
        "log": log,
        "log_sha256": hash,
    });
    publish(&mut files, &answers, code.as_ref(), result)?;
    page(&text);
    files.tell();
    Ok(Outcome::Good)
}

fn score_inferred(args: &ScoreArgs, mut files: Files, file: &Path) -> Result<Outcome> {
    let mut passes = read_passes(file, args.allow_pickle)?;
    let code = run_code(args, &files, &mut passes.answers)?;
    passes.answers.note_implausible();
    let summary = passes.summary();
    let result =
        json!({ "exact_match": summary.exact_match, "summary": summary, "inferred": file });
    publish(&mut files, &passes.answers, code.as_ref(), result)?;
    let text = summary.to_string();
    if let Some(file) = &mut files.accuracy_txt {
        file.write(text.as_bytes())?;
    }
    page(&text);
    files.tell();
    Ok(Outcome::Good)
}

/// Runs the programs in `answers`, if there are any, with a display of how far they are.
fn run_code(args: &ScoreArgs, files: &Files, answers: &mut Answers) -> Result<Option<LcbReport>> {
    let code_answers = answers.code_answers();
    if code_answers == 0 {
        return Ok(None);
    }
    if args.lcb_problems.is_empty() {
        bail!(
            "found {} to livecodebench questions, and no --lcb-problems: give the directory of LiveCodeBench's test*.jsonl \
             (release_v6 is all six), or score a log without them",
            counted(code_answers as u64, "answer")
        );
    }
    let problems = Problems::load(&args.lcb_problems)?;
    let settings = lcb_settings(args)?;
    let partial = files.details.as_ref().and_then(partial_of);
    if let Some(partial) = &partial {
        children::set_interrupt_message(format!(
            "verdicts so far are in {}; run the same command again to resume",
            partial.display()
        ));
    }
    let run = CodeRun {
        problems: &problems,
        settings: &settings,
        partial: partial.as_deref(),
    };
    let mut display = Display::new(answers.programs.len());
    let report = run.run(answers, |progress| display.show(progress))?;
    display.end();
    Ok(report)
}

/// LiveCodeBench's problems, where there are any.
pub(super) fn problems(paths: &[PathBuf]) -> Result<Option<Problems>> {
    let problems = (!paths.is_empty()).then(|| Problems::load(paths));
    Ok(problems.transpose()?)
}

/// The reference's settings, with an interpreter.
pub(super) fn sandbox(python: &Path) -> Result<LcbSettings> {
    Ok(LcbSettings {
        python: Some(python.to_owned()),
        workers: std::thread::available_parallelism().map_or(1, usize::from),
        helper: super::confine::helper()?,
        ..LcbSettings::default()
    })
}

fn lcb_settings(args: &ScoreArgs) -> Result<LcbSettings> {
    let usual = sandbox(&args.python)?;
    Ok(LcbSettings {
        timeout_s: args.lcb_timeout,
        time_limit: match args.time_limit {
            TimeLimitArg::Wall => TimeLimit::Wall,
            TimeLimitArg::Cpu => TimeLimit::Cpu,
        },
        workers: args.workers.map_or(usual.workers, |n| n as usize),
        memory_bytes: args.lcb_memory_mib << 20,
        allow_unconfined: args.allow_unconfined,
        ..usual
    })
}

/// Beside the details file: verdicts until all are there. A pipe has nothing beside it.
fn partial_of(details: &Output) -> Option<PathBuf> {
    let mut name = details.path().as_os_str().to_owned();
    name.push(".partial");
    (!details.is_stream()).then(|| name.into())
}

/// Writes the details and the JSON, tells the findings, and forgets the verdicts so far.
fn publish(
    files: &mut Files,
    answers: &Answers,
    code: Option<&LcbReport>,
    mut result: Value,
) -> Result<()> {
    let findings = answers.findings();
    for finding in &findings {
        note!("{finding}");
    }
    if let Some(file) = &mut files.details {
        let mut text = String::new();
        for answer in &answers.answers {
            text += &output::json_line(answer)?;
        }
        file.write(text.as_bytes())?;
        if let Some(partial) = partial_of(file)
            && partial.exists()
        {
            std::fs::remove_file(&partial)
                .with_context(|| format!("cannot remove {}", partial.display()))?;
        }
    }
    if let Some(file) = &mut files.json {
        result["findings"] = json!(findings);
        result["livecodebench"] = json!(code);
        file.write_json(&result)?;
    }
    Ok(())
}

/// A bar on a terminal, a line now and then otherwise.
struct Display {
    bar: Option<Bar>,
    said: Instant,
    began: Instant,
}

const LINE_EVERY: Duration = Duration::from_secs(10);

impl Display {
    fn new(total: usize) -> Self {
        let template = "LiveCodeBench {wide_bar} {pos}/{len} programs, {eta} left";
        let bar = Bar::on_terminal(total as u64, template);
        let now = Instant::now();
        Self {
            bar,
            said: now,
            began: now,
        }
    }

    fn show(&mut self, progress: CodeProgress) {
        let CodeProgress {
            done,
            total,
            resumed,
        } = progress;
        if let Some(bar) = &self.bar {
            if done == resumed {
                // The estimate is of what this process runs.
                bar.position(done as u64);
                bar.forget_pace();
            } else {
                bar.position(done as u64);
            }
        } else if self.said.elapsed() >= LINE_EVERY || (done == resumed && resumed > 0) {
            self.said = Instant::now();
            let ran = done - resumed;
            let left =
                self.began.elapsed().as_secs_f64() / ran.max(1) as f64 * (total - done) as f64;
            let left = if ran == 0 {
                String::new()
            } else {
                format!(", about {left:.0} s left")
            };
            let earlier = match resumed {
                0 => String::new(),
                resumed => format!(" ({resumed} earlier)"),
            };
            progress!("LiveCodeBench: {done} of {total} programs{earlier}{left}");
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.end();
        }
    }
}
