//! `ossmark dataset prepare`: progress, and where the files go. The work is done by `crates/prepare`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ossmark_dataset::file_sha256;
use ossmark_harmony::Harmony;
use ossmark_prepare::{Manifest, Recipe, Request, Step, TokenizerEntry, prepare};

use crate::children;
use crate::cli::DatasetPrepareArgs;
use crate::exit::Outcome;
use crate::output;
use crate::pairing::tokenizer_file;
use crate::terminal::{Bar, say};

pub(crate) fn dataset(args: &DatasetPrepareArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let manifest_file = args.output.with_extension("manifest.json");
    let mut data_file = output::claim_file(&args.output, args.force)?;
    // A pipe has nothing beside it; the manifest goes where --json says.
    let beside = (!data_file.is_stream()).then_some(&manifest_file);
    let mut manifest_file = output::claim_optional(beside, args.force)?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
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
    let bar = Bar::new(0, "{msg:16} {wide_bar} {pos}/{len} {eta}");
    bar.tick(Duration::from_millis(200));
    let prepared = prepare(
        &recipe,
        &args.recipe,
        &request,
        &harmony,
        &|step| match step {
            Step::Reading(file) => bar.message(format_args!("reading {}", file.display())),
            Step::Questions(count) => {
                bar.message("tokenising");
                bar.length(count);
            }
            Step::Tokenised => bar.advance(),
        },
    );
    bar.end();
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
    // The data set last: where it is, its manifest is.
    if let Some(file) = &mut manifest_file {
        file.write_json(&manifest)?;
    }
    if let Err(error) = data_file.write(&parquet) {
        if let Some(file) = &manifest_file {
            let _ = std::fs::remove_file(file.path());
        }
        return Err(error);
    }
    if let Some(file) = &mut json_file {
        file.write_json(&manifest)?;
    }
    print(&args.output, &manifest);
    Ok(Outcome::Good)
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn print(file: &Path, manifest: &Manifest) {
    say!("{}", file.display());
    for source in &manifest.sources {
        say!(
            "  {:<18} {} questions x {} = {} rows",
            source.dataset,
            source.questions,
            source.repeats,
            source.rows
        );
        if let Some(expected) = source.template.questions
            && expected != source.questions
        {
            say!("  {:<18} the publisher's files hold {expected}", "");
        }
    }
    let output = &manifest.output;
    let lengths = output.prompt_tokens;
    say!("  {:<18} {}", "rows", output.rows);
    say!(
        "  {:<18} min {}, p50 {}, max {}, together {}",
        "prompt tokens",
        lengths.min,
        lengths.p50,
        lengths.max,
        lengths.total
    );
    say!(
        "  {:<18} effort {}, date {}, seed {}",
        "made with",
        manifest.effort,
        manifest.date,
        manifest.seed
    );
    say!("  {:<18} {}", "file sha256", output.sha256);
    say!("  {:<18} {}", "content sha256", output.content_sha256);
}
