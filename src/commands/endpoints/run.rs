//! `ossmark endpoints run`: the points of a curve, one after the other, each a directory as MLCommons' client leaves one.
//!
//! Whatever ends the command, kill -9 too, the same command goes on: points that are done are left as they are, and of the one
//! that was under way the log says what is there (`ossmark_endpoints::rehearsal`).

mod accuracy;
mod asked;
mod curve;
mod desk;
mod load;
mod phase;
mod text;
mod writer;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ossmark_dataset::Dataset;
use ossmark_endpoints::plan;
use ossmark_endpoints::rehearsal::{Point, STAMP};
use ossmark_endpoints::{Regions, SeedSet, rules};
use ossmark_harmony::{Parser, SpecialTokens, Tokenizer};
use ossmark_protocol::{Generator, TokenId};
use serde_json::{Value, json};

use self::accuracy::Accuracy;
use self::asked::Asked;
use self::curve::Curve;
use self::desk::Desk;
use self::load::Load;
use self::phase::Template;
use self::text::Texts;
use super::Counting;
use crate::children;
use crate::cli::{EndpointsRunArgs, StreamArg};
use crate::exit::Outcome;
use crate::generator::engine_plan::{EnginePlan, check_prompts};
use crate::output;
use crate::terminal::{note, say};

pub(crate) fn run(args: &EndpointsRunArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let points = points(args)?;
    let mut asked = Asked::of(args)?;
    let dataset = asked.open(&args.dataset)?;
    let rows = match args.rows {
        Some(rows) if rows as usize > dataset.len() => bail!(
            "--rows {rows}: {} has {} rows; give at most as many",
            args.dataset.display(),
            dataset.len()
        ),
        Some(rows) => rows,
        None => u32::try_from(dataset.len()).context("--dataset has more than 2^32 rows")?,
    };
    if args.dedicated_offline && points.contains(&Some(rows.into())) {
        bail!(
            "--dedicated-offline: its folder is named by the {rows} rows of the data set, as that of the point at {rows} requests \
             under way is; leave one out, or give other --rows"
        );
    }
    let (mut plan, tokenizer) = who_answers(args, &points, rows)?;
    plan.echo_below(tokenizer.vocabulary().text_ids());
    let prompts = asked.prompts(&dataset, rows)?;
    let warmup = warmup(args, &mut asked)?;
    let accuracy = Accuracy::of(args, &mut asked)?;
    let messages = asked.messages();
    plan.say(&messages);
    let vocabulary = Arc::clone(tokenizer.vocabulary());
    let parser = match messages.is_empty() {
        true => None,
        false => Some(Parser::new(
            Arc::clone(&vocabulary),
            SpecialTokens::find(&vocabulary)?,
        )),
    };
    let settings = settings(args, &plan, &dataset, rows, &points);
    seeds(args)?;
    let mut curve = Curve::open(args, settings)?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    children::set_interrupt_message(format!(
        "what is measured so far is in {}; run the same command again to go on",
        args.output.display()
    ));
    note!("{STAMP}");
    let desk = Arc::<Desk>::default();
    let started = plan.start(desk.sink(), None)?;
    let generator = started.generator;
    check_prompts(&*generator, &prompts, args.max_new_tokens, &args.dataset)?;
    if let Some(accuracy) = &accuracy {
        check_prompts(
            &*generator,
            &accuracy.prompts,
            accuracy.max_new_tokens,
            &accuracy.file,
        )?;
    }
    let template = Template {
        warmup,
        sampling: args.sampling.sampling(),
        seed: args.sampling.seed,
        texts: Texts {
            vocabulary,
            chat: parser,
            messages,
        },
    };
    let tokens = Counting(tokenizer);
    let load = Load::new(Arc::clone(&generator), desk, template);
    let mut is_good = true;
    let point = point(args, &plan, &*generator, rows)?;
    let with_accuracy = accuracy
        .as_ref()
        .map_or_else(Vec::new, |_| accuracy_points(&points));
    for concurrency in points {
        let point = Point {
            concurrency,
            ..point.clone()
        };
        is_good &= curve.measure(&point, &prompts, &load, &tokens)?;
        if let (Some(accuracy), true) = (&accuracy, with_accuracy.contains(&concurrency)) {
            is_good &= curve.accuracy(&point, accuracy, &load, &tokens)?;
        }
    }
    generator.shutdown();
    say!("{STAMP}");
    if let Some(file) = &mut json_file {
        file.write_json(&curve.state)?;
    }
    Ok(if is_good {
        Outcome::Good
    } else {
        Outcome::NotGood
    })
}

/// Requests under way at each point; `None` is the dedicated Offline run.
fn points(args: &EndpointsRunArgs) -> Result<Vec<Option<u64>>> {
    let mut points: Vec<u64> = args.points.clone();
    if points.contains(&0) {
        bail!("--points: found 0, expected concurrencies of at least 1");
    }
    if let Some(c_max) = args.c_max {
        let plan = plan::plan(&plan::Options {
            c_max: c_max.into(),
            c_min: args.c_min.into(),
            is_declared: false,
            is_dedicated: false,
            seconds: Vec::new(),
        });
        let plan = plan.context("--c-max or --c-min")?;
        points.extend(plan.points.iter().map(|point| point.concurrency as u64));
    }
    points.sort_unstable();
    points.dedup();
    let mut points: Vec<Option<u64>> = points.into_iter().map(Some).collect();
    if args.dedicated_offline {
        points.push(None);
    }
    if points.is_empty() {
        bail!(
            "found no point; give --points C,C,... or --c-max N (as `ossmark endpoints plan` has it)"
        );
    }
    Ok(points)
}

/// One of each region that asks for one, and the Offline result: the highest concurrency, which may be elected, or the
/// dedicated run (P 4.3).
fn accuracy_points(points: &[Option<u64>]) -> Vec<Option<u64>> {
    let fixed: Vec<i128> = points.iter().flatten().map(|c| i128::from(*c)).collect();
    let (Some(lowest), Some(highest)) = (fixed.first(), fixed.last()) else {
        return points.to_vec();
    };
    let mut chosen = vec![Some(*lowest as u64), Some(*highest as u64)];
    // Without regions (C_max of at most 32) these two are all.
    if let Ok(regions) = Regions::new(*highest, (*lowest).min(32), false) {
        for region in [regions.low_concurrency, regions.med_concurrency] {
            let first = fixed.iter().find(|c| region.holds(**c));
            chosen.extend(first.map(|c| Some(*c as u64)));
        }
    }
    chosen.extend(points.iter().filter(|point| point.is_none()));
    chosen
}

fn who_answers(
    args: &EndpointsRunArgs,
    points: &[Option<u64>],
    rows: u32,
) -> Result<(EnginePlan, Tokenizer)> {
    let at_once = |point: &Option<u64>| point.unwrap_or(args.passes * u64::from(rows));
    let most = points.iter().map(at_once).max().unwrap_or(1);
    let mut http = args.http.clone();
    if http.max_concurrency.is_some() {
        bail!("--max-concurrency: each point has its own; leave it out");
    }
    http.max_concurrency = Some(usize::try_from(most)?);
    args.engine.refuse_missing(&http, args.tokenizer.as_ref())?;
    let mut plan = EnginePlan::choose(&args.engine, &args.speculate, Some(&http), &args.echo)?;
    let kept_up = points.iter().flatten().max().copied().unwrap_or(0);
    plan.connect_ahead(usize::try_from(kept_up)?);
    plan.stream_unless_told(http.http_stream.unwrap_or(StreamArg::Auto), true);
    args.sampling.sampling().check()?;
    let path = args.tokenizer.as_deref().or(plan.model());
    let path = path.context(
        "missing --tokenizer PATH: the model's directory or its tokenizer.json, which counts the tokens of answers",
    )?;
    let tokenizer = Tokenizer::load(path)?;
    Ok((plan, tokenizer))
}

fn warmup(args: &EndpointsRunArgs, asked: &mut Asked) -> Result<Vec<Arc<[TokenId]>>> {
    let Some(file) = &args.warmup_dataset else {
        if args.warmup_requests.is_some() {
            bail!(
                "--warmup-requests: missing --warmup-dataset FILE.parquet; warm-up prompts are none of the performance set (P 6.3)"
            );
        }
        return Ok(Vec::new());
    };
    let dataset = asked.open(file)?;
    let rows = u32::try_from(dataset.len()).context("--warmup-dataset")?;
    let all = asked.prompts(&dataset, rows)?;
    let wanted = args.warmup_requests.unwrap_or(all.len() as u64);
    let repeated = all.iter().cycle().take(usize::try_from(wanted)?);
    Ok(repeated.cloned().collect())
}

fn seeds(args: &EndpointsRunArgs) -> Result<&'static SeedSet> {
    let sets = &rules().seeds.set;
    sets.get(&args.seed_set).with_context(|| {
        let known: Vec<&str> = sets.keys().map(String::as_str).collect();
        let known = known.join(", ");
        format!("--seed-set {}: expected one of {known}", args.seed_set)
    })
}

fn point(
    args: &EndpointsRunArgs,
    plan: &EnginePlan,
    generator: &dyn Generator,
    rows: u32,
) -> Result<Point> {
    let seeds = seeds(args)?;
    let described = generator.describe();
    let servers = described.map(|described| described.servers);
    let servers = servers.unwrap_or_default();
    let api_type = match servers.first().map(|server| server.api) {
        Some("/v1/chat/completions") => "openai",
        Some("SGLang /generate") => "sglang",
        // In process, engines are asked in ids as completions are.
        _ => "openai_completions",
    };
    let mut endpoints: Vec<String> = servers.into_iter().map(|server| server.endpoint).collect();
    if endpoints.is_empty() {
        endpoints.push(format!("in process: {}", plan.name()));
    }
    let shown = |path: &Path| path.display().to_string();
    let model = plan.model().map(shown);
    let tokenizer = args.tokenizer.as_deref().map(shown);
    Ok(Point {
        concurrency: None,
        rows,
        passes: args.passes,
        dataloader_seed: seeds.sample_index,
        scheduler_seed: seeds.scheduler,
        model_seed: seeds.model,
        tokenizer: tokenizer.or_else(|| model.clone()).unwrap_or_default(),
        model: model.unwrap_or_else(|| plan.name().into()),
        dataset: shown(&args.dataset),
        max_new_tokens: args.max_new_tokens,
        temperature: args.sampling.temperature,
        top_p: args.sampling.top_p,
        // 0 and the client's -1 both keep all.
        top_k: match args.sampling.top_k {
            0 => -1,
            k => k.into(),
        },
        endpoints,
        api_type,
        version: format!("ossmark {} (rehearsal)", env!("CARGO_PKG_VERSION")),
        warmup: args.warmup_requests.unwrap_or(0),
    })
}

/// All that the figures depend on, as far as it is known here.
fn settings(
    args: &EndpointsRunArgs,
    plan: &EnginePlan,
    dataset: &Dataset,
    rows: u32,
    points: &[Option<u64>],
) -> Value {
    let echo = matches!(plan, EnginePlan::Echo(_)).then(|| format!("{:?}", args.echo));
    json!({
        "points": points,
        "dataset": dataset.file_sha256,
        "rows": rows,
        "rows_of_the_data_set": dataset.len(),
        "passes": args.passes,
        "seed_set": args.seed_set,
        "warmup_requests": args.warmup_requests,
        "max_new_tokens": args.max_new_tokens,
        "temperature": args.sampling.temperature,
        "top_p": args.sampling.top_p,
        "top_k": args.sampling.top_k,
        "seed": args.sampling.seed,
        "engine": plan.name(),
        "endpoints": args.http.endpoint,
        "api": args.http.api,
        "message_column": args.message_column,
        "accuracy_dataset": args.accuracy_dataset,
        "accuracy_max_new_tokens": args.accuracy_max_new_tokens,
        "model": plan.model(),
        "echo": echo,
    })
}
