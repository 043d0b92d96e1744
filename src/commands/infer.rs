//! `ossmark infer`: from the options to an output file or a journal that the next call goes on with.

mod drive;
mod failures;
mod record;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use crossbeam_channel::unbounded;
use ossmark_dataset::Dataset;
use ossmark_files::{IfExists, is_stdout, move_aside};
use ossmark_harmony::Detokenizer;
use ossmark_infer::{Journal, write_output};
use ossmark_protocol::{RemoteStats, TokenId};
use ossmark_report::number::count;
use serde_json::{Value, json};

use self::drive::{InferStats, Template, drive};
use crate::children;
use crate::cli::{InferArgs, StreamArg};
use crate::exit::Outcome;
use crate::generator::engine_plan::{EnginePlan, check_prompts};
use crate::output::{self, Output};
use crate::terminal::text::counted;
use crate::terminal::{note, progress, say};

pub(crate) fn infer(args: &InferArgs) -> Result<Outcome> {
    let began = Instant::now();
    children::end_at_signal()?;
    let plan = plan(args)?;
    let dataset_file = one_file(&args.dataset)?;
    let dataset = Dataset::open(&dataset_file)?;
    let tokenizer = tokenizer(args, &plan)?;
    let journal_path = journal_of(&args.output);
    let goes_on = !args.force && journal_path.exists();
    let (mut output_file, mut json_file) = claim(args, &journal_path)?;
    let record = record::claim(args, goes_on)?;
    children::set_interrupt_message(format!(
        "answers so far are in {}; run the same command again to resume",
        journal_path.display()
    ));
    let settings = journal_settings(args, &plan, &dataset);
    let rows = u32::try_from(dataset.len()).context("--dataset has more than 2^32 rows")?;
    let (mut journal, resumed) = Journal::open(&journal_path, &settings, rows, args.pass_k)?;
    if resumed.torn_bytes > 0 {
        note!(
            "{}: cut off {} of a record that was being written",
            journal_path.display(),
            counted(resumed.torn_bytes, "byte")
        );
    }
    if resumed.answered + resumed.failed > 0 {
        progress!(
            "{}: going on after {} of {} answers{}",
            journal_path.display(),
            resumed.answered,
            journal.requests(),
            match resumed.failed {
                0 => String::new(),
                failed => format!("; {failed} that failed are tried again"),
            }
        );
    }
    if args.output.exists() && journal.answered() < journal.requests() {
        bail!(
            "--output {}: exists, and {} is not complete; give another name, or --force to move both aside",
            args.output.display(),
            journal_path.display()
        );
    }
    let (mut done, mut remote) = (InferStats::default(), None);
    if journal.answered() < journal.requests() {
        let prompts = prompts(&plan, &dataset);
        (done, remote) = run(args, &plan, prompts, &mut journal)?;
    }
    let complete = journal.answered() == journal.requests();
    let mut left_out = Vec::new();
    if complete {
        let decode = |ids: &[TokenId]| tokenizer.decode(ids).text;
        output_file.with(|claim| {
            let (notes, moved) = write_output(claim, &dataset_file, &journal, &decode)?;
            left_out = notes;
            Ok::<_, ossmark_infer::Error>(moved)
        })?;
        for note in &left_out {
            note!("{}: {note}", args.output.display());
        }
        say!("written: {}", args.output.display());
    }
    let recorded = record.map(|record| {
        let plan = record::plan(plan.name(), &settings);
        record.write(&journal, &dataset, &plan)
    });
    if complete {
        std::fs::remove_file(&journal_path)
            .with_context(|| format!("cannot remove {}", journal_path.display()))?;
    }
    report(
        args,
        &mut json_file,
        &journal,
        &done,
        json!({
            "left_out": left_out,
            "elapsed_s": began.elapsed().as_secs_f64(),
            "remote": remote,
            "record": recorded,
        }),
    )?;
    Ok(if complete {
        Outcome::Good
    } else {
        Outcome::NotGood
    })
}

/// The output repeats one file's columns. Said now, not when all answers are there.
fn one_file(dataset: &Path) -> Result<PathBuf> {
    match &ossmark_dataset::files(dataset)?[..] {
        [file] => Ok(file.clone()),
        files => bail!(
            "--dataset {}: found {} parquet files, expected one, whose columns the output has beside the answers; write them \
             as one first, for example with pandas.read_parquet and to_parquet",
            dataset.display(),
            files.len()
        ),
    }
}

/// How long a request may take.
fn timeout_s(args: &InferArgs) -> f64 {
    let usual = ossmark_remote::Settings::TIMEOUT.as_secs_f64();
    args.http.timeout.unwrap_or(usual)
}

fn plan(args: &InferArgs) -> Result<EnginePlan> {
    let timeout = timeout_s(args);
    if !(0.001..=1e6).contains(&timeout) {
        bail!("--timeout {timeout}: expected seconds between 0.001 and 1000000");
    }
    if args.http.max_concurrency == Some(0) {
        bail!("--max-concurrency 0: expected at least 1");
    }
    if args.engine.synthetic.synthetic.is_some() {
        bail!(
            "--synthetic: infer's answers are there to be scored, and those of random weights are noise; ossmark run and \
             ossmark generate take it"
        );
    }
    let http = &args.http;
    args.engine.refuse_missing(http, args.tokenizer.as_ref())?;
    let streaming = http.http_stream.unwrap_or(StreamArg::Auto);
    let mut plan = EnginePlan::choose(&args.engine, &args.speculate, Some(http), &args.echo)?;
    plan.stream_unless_told(streaming, false);
    let hold = match args.hold.unwrap_or(HOLD_S) {
        0.0 => None,
        s if (0.001..=1e6).contains(&s) => Some(Duration::from_secs_f64(s)),
        s => bail!("--hold {s}: expected seconds between 0.001 and 1000000, or 0"),
    };
    if !plan.hold(hold) && args.hold.is_some() {
        bail!("--hold is for --engine http; leave it out, or give that");
    }
    args.sampling.sampling().check()?;
    Ok(plan)
}

fn tokenizer(args: &InferArgs, plan: &EnginePlan) -> Result<Detokenizer> {
    let path = args.tokenizer.as_deref().or(plan.model()).context(
        "missing --tokenizer PATH: the model's directory or its tokenizer.json, which turns the answers' tokens into text",
    )?;
    Ok(Detokenizer::load(path)?)
}

/// The echo engine answers by row and reads nothing else (see generator::echo).
fn prompts(plan: &EnginePlan, dataset: &Dataset) -> Vec<Arc<[TokenId]>> {
    match plan {
        EnginePlan::Echo(_) => (0..dataset.len())
            .map(|row| Arc::from([row as TokenId]))
            .collect(),
        _ => dataset.prompts.clone(),
    }
}

fn journal_of(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".journal");
    name.into()
}

fn claim(args: &InferArgs, journal: &Path) -> Result<(Output, Option<Output>)> {
    if is_stdout(&args.output) {
        bail!(
            "--output {}: is standard output, expected a file: a journal is kept beside it",
            args.output.display()
        );
    }
    let earlier = match (args.force, journal.exists()) {
        (true, _) => IfExists::MoveAside,
        // Both are there when the last call was killed between finishing the one and removing the other.
        (false, true) => IfExists::Replace,
        (false, false) => IfExists::Refuse,
    };
    let output_file = output::claim_as(&args.output, earlier)?;
    if output_file.is_stream() {
        bail!(
            "--output {}: is a pipe or a device, expected a file: a journal is kept beside it",
            args.output.display()
        );
    }
    let json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    // Nobody writes them: that would have the output claimed. The output goes now, not when the new one is written: beside
    // one that is there an unfinished journal is refused, so that a forced call that was killed could not go on.
    for earlier in [args.output.as_path(), journal] {
        if args.force && earlier.exists() {
            let aside = move_aside(earlier)
                .with_context(|| format!("--force: cannot move {} aside", earlier.display()))?;
            note!("moved the earlier one aside: {}", aside.display());
        }
    }
    Ok((output_file, json_file))
}

/// All that the answers depend on, as far as it is known here. Where servers are and how many requests they get at once is
/// not part of it.
fn journal_settings(args: &InferArgs, plan: &EnginePlan, dataset: &Dataset) -> Value {
    let echo = matches!(plan, EnginePlan::Echo(_)).then(|| format!("{:?}", args.echo));
    json!({
        "dataset": dataset.file_sha256,
        "pass_k": args.pass_k,
        "max_new_tokens": args.max_new_tokens,
        "temperature": args.sampling.temperature,
        "top_p": args.sampling.top_p,
        "top_k": args.sampling.top_k,
        "seed": args.sampling.seed,
        "engine": plan.name(),
        "model": plan.model().map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned())),
        "served_model": args.http.served_model_name,
        "dtype": args.engine.dtype,
        "kv_dtype": args.engine.kv_dtype,
        "echo": echo,
    })
}

/// Servers that load a large model come back within minutes.
const HOLD_S: f64 = 600.0;
/// As many as a GPU's engine takes into a step: more would only wait there, on their time limit.
const LOCAL_CONCURRENCY: usize = 256;

fn run(
    args: &InferArgs,
    plan: &EnginePlan,
    prompts: Vec<Arc<[TokenId]>>,
    journal: &mut Journal,
) -> Result<(InferStats, Option<RemoteStats>)> {
    let concurrency = args.http.max_concurrency.unwrap_or(match plan {
        EnginePlan::Http { settings, .. } => settings.max_concurrency,
        _ => LOCAL_CONCURRENCY,
    });
    let (send, events) = unbounded();
    let started = plan.start(Box::new(move |event| send.send(event).is_ok()), None)?;
    let generator = started.generator;
    check_prompts(&*generator, &prompts, args.max_new_tokens, &args.dataset)?;
    let template = Template {
        prompts,
        sampling: args.sampling.sampling(),
        max_new_tokens: args.max_new_tokens,
        seed: args.sampling.seed,
    };
    // The time over HTTP begins when a request is sent, which may be after an outage.
    let timeout = match plan {
        EnginePlan::Http { .. } => Duration::MAX,
        EnginePlan::Model { .. } | EnginePlan::Echo(_) => Duration::from_secs_f64(timeout_s(args)),
    };
    let done = drive(
        &*generator,
        &events,
        journal,
        &template,
        concurrency,
        timeout,
    );
    let stats = generator.stats();
    generator.shutdown();
    Ok((done?, stats))
}

fn report(
    args: &InferArgs,
    json_file: &mut Option<Output>,
    journal: &Journal,
    done: &InferStats,
    mut result: Value,
) -> Result<()> {
    let failed = journal.failed();
    let (answered, requests) = (journal.answered(), journal.requests());
    let of_all = match answered == requests {
        true => String::new(),
        false => format!("{} of ", count(answered)),
    };
    say!(
        "{of_all}{} ({} new), {} in {:.1} s",
        counted(requests, "answer"),
        count(done.answered),
        counted(done.tokens, "token"),
        result["elapsed_s"].as_f64().unwrap_or_default()
    );
    const SHOWN: usize = 5;
    for group in done.failures.sorted().iter().take(SHOWN) {
        note!("ossmark: {} failed: {}", group.count, group.shown());
    }
    if failed > 0 {
        note!(
            "ossmark: {} failed; the messages are in {}. Run the same command again to try them again; no \
             output is written before all are answered",
            counted(failed, "request"),
            journal.path().display()
        );
    }
    if let Some(file) = json_file {
        let more = [
            ("output", json!(args.output)),
            ("requests", json!(journal.requests())),
            ("answered", json!(journal.answered())),
            ("answered_now", json!(done.answered)),
            ("tokens_now", json!(done.tokens)),
            ("failed", json!(failed)),
            ("failures", done.failures.json()),
        ];
        for (name, value) in more {
            result[name] = value;
        }
        file.write_json(&result)?;
    }
    Ok(())
}
