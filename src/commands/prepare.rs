//! `ossmark dataset prepare`: progress, and where the files go. The work is done by `crates/prepare`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use ossmark_dataset::file_sha256;
use ossmark_harmony::Harmony;
use ossmark_prepare::{Manifest, Recipe, Request, Step, TokenizerEntry, prepare};

use crate::cli::DatasetPrepareArgs;
use crate::exit::Outcome;
use crate::output;
use crate::pairing::tokenizer_file;

pub(crate) fn dataset(args: &DatasetPrepareArgs) -> Result<Outcome> {
    let manifest_file = args.output.with_extension("manifest.json");
    let written = [&manifest_file, &args.output];
    if !args.force {
        for file in written {
            output::claim_file(file, false)?;
        }
    }
    let recipe = Recipe::load(&args.recipe)?;
    let inputs = recipe.sources.iter().flat_map(|source| &source.files);
    if let Some(file) = inputs.into_iter().find(|file| same(file, &args.output)) {
        bail!(
            "--output {}: is one of the recipe's files; give another name",
            file.display()
        );
    }
    let harmony = Harmony::load(&args.tokenizer)
        .with_context(|| format!("--tokenizer {}", args.tokenizer.display()))?;
    let request = Request {
        effort: args.effort.map(|effort| effort.effort()),
        date: args.date.clone(),
        seed: args.seed,
        templates: args.templates.clone(),
        workers: args.workers.map_or(0, |n| n as usize),
    };
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template(
        "{msg:16} {wide_bar} {pos}/{len} {eta}",
    )?);
    bar.enable_steady_tick(Duration::from_millis(200));
    let prepared = prepare(
        &recipe,
        &args.recipe,
        &request,
        &harmony,
        &|step| match step {
            Step::Reading(file) => bar.set_message(format!("reading {}", file.display())),
            Step::Questions(count) => {
                bar.set_message("tokenising");
                bar.set_length(count);
            }
            Step::Tokenised => bar.inc(1),
        },
    );
    bar.finish_and_clear();
    let prepared = prepared?;

    let parquet = prepared.parquet()?;
    let tokenizer = TokenizerEntry {
        sha256: file_sha256(&tokenizer_file(&args.tokenizer))?,
    };
    let name = args
        .output
        .file_name()
        .with_context(|| format!("--output {}: not a file name", args.output.display()))?
        .to_string_lossy();
    let tool = concat!("ossmark ", env!("CARGO_PKG_VERSION"));
    let manifest = prepared.manifest(tool, tokenizer, &name, &parquet);
    for file in written {
        output::claim_file(file, args.force)?;
    }
    // The data set last: where it is, its manifest is.
    output::write_json(&manifest_file, &manifest)?;
    if let Err(error) = output::write_whole(&args.output, &parquet) {
        let _ = std::fs::remove_file(&manifest_file);
        return Err(error);
    }
    if let Some(file) = &args.json {
        output::write_json(file, &manifest)?;
    }
    print(&args.output, &manifest);
    Ok(Outcome::Good)
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn print(file: &Path, manifest: &Manifest) {
    println!("{}", file.display());
    for source in &manifest.sources {
        println!(
            "  {:<18} {} questions x {} = {} rows",
            source.dataset, source.questions, source.repeats, source.rows
        );
        if let Some(expected) = source.template.questions
            && expected != source.questions
        {
            println!("  {:<18} the publisher's files hold {expected}", "");
        }
    }
    let output = &manifest.output;
    let lengths = output.prompt_tokens;
    println!("  {:<18} {}", "rows", output.rows);
    println!(
        "  {:<18} min {}, p50 {}, max {}, together {}",
        "prompt tokens", lengths.min, lengths.p50, lengths.max, lengths.total
    );
    println!(
        "  {:<18} effort {}, date {}, seed {}",
        "made with", manifest.effort, manifest.date, manifest.seed
    );
    println!("  {:<18} {}", "file sha256", output.sha256);
    println!("  {:<18} {}", "content sha256", output.content_sha256);
}
