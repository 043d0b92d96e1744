//! `ossmark bench engine --engine cpu`: decode and prefill, each beside the least time that this machine's memory and
//! arithmetic allow.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ossmark_engine::config::ModelConfig;
use ossmark_engine::cpu::{CpuBound, StepWork};
use ossmark_engine::weights::Synthetic;
use ossmark_engine::{
    CpuSettings, Drafter, Dtype, KvDtype, LoadedModel, Repack, load_cpu, load_cpu_synthetic,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::running::Running;
use super::speculation::Comparison;
use crate::children;
use crate::cli::{BenchEngineArgs, CpuRepackArg, DtypeArg, KvDtypeArg};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::{say, text::counted};

/// One measurement. `bound_tokens_per_s` is what weights that are read once a step from memory, and all multiply-adds of the
/// weights, take at least; attention is not in it.
#[derive(Debug, Serialize)]
struct Figure {
    work: String,
    tokens: u64,
    seconds: f64,
    /// Of all threads; absent where the system does not say.
    processor_seconds: Option<f64>,
    tokens_per_s: f64,
    bound_tokens_per_s: f64,
}

/// With each number of threads: decode and prefill, or decode without and with a head.
pub(super) fn engine(args: &BenchEngineArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    if !args.without.is_empty() || args.offline > 0 {
        bail!("--without and --offline are for --engine cuda");
    }
    let comparison = Comparison::asked(args)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = args.threads.clone();
    if threads.is_empty() {
        threads = vec![1, cores];
        threads.dedup();
    }
    if threads.contains(&0) {
        bail!("--threads 0: expected at least 1");
    }
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let (mut ways, mut differ) = (Vec::new(), 0);
    for threads in threads {
        ways.push(match &comparison {
            Some(comparison) => {
                say!("{}", counted(threads as u64, "thread"));
                let (mut way, of_way) = comparison.measure((1, 1), |drafter| {
                    Ok(load(args, threads, &comparison.batch, drafter)?.0)
                })?;
                way["threads"] = threads.into();
                differ += of_way;
                way
            }
            None => decode_and_prefill(args, threads)?,
        });
        // After each, so that it is not lost with what fails after it, or is stopped.
        if let Some(file) = &mut json_file {
            file.write_json(&json!({ "ways": ways }))?;
        }
    }
    // On the CPU a row is the same to the bit whatever stands beside it.
    Ok(if differ == 0 {
        Outcome::Good
    } else {
        Outcome::NotGood
    })
}

/// Decode and prefill with this number of threads.
fn decode_and_prefill(args: &BenchEngineArgs, threads: usize) -> Result<Value> {
    let bound = CpuBound::measure(threads)?;
    say!(
        "{}: memory reads {:.1} GB/s, multiply-adds {:.0} GFLOP/s",
        counted(threads as u64, "thread"),
        bound.bytes_per_s / 1e9,
        bound.flops_per_s / 1e9
    );
    let begun = Instant::now();
    let (loaded, config) = load(args, threads, &batch(args), None)?;
    let load_seconds = begun.elapsed().as_secs_f64();
    let model = loaded.info.description.clone();
    say!("{model}; loaded in {load_seconds:.1} s");
    let figures = measure(args, loaded, &config, &bound)?;
    Ok(json!({
        "model": model, "threads": threads, "load_seconds": load_seconds,
        "bound": { "read_gb_per_s": bound.bytes_per_s / 1e9, "fma_gflop_per_s": bound.flops_per_s / 1e9 },
        "figures": figures,
    }))
}

fn load(
    args: &BenchEngineArgs,
    threads: usize,
    batch: &[u32],
    drafter: Option<Drafter>,
) -> Result<(LoadedModel, ModelConfig)> {
    let defaults = CpuSettings::default();
    let settings = CpuSettings {
        dtype: match args.dtype {
            Some(DtypeArg::F32) => Dtype::F32,
            Some(DtypeArg::Bf16) | None => Dtype::Bf16,
        },
        kv: match args.kv_dtype[..] {
            [] | [KvDtypeArg::Bf16] => KvDtype::AsActivations,
            [KvDtypeArg::Fp8] => KvDtype::Fp8,
            _ => bail!("--engine cpu takes one --kv-dtype"),
        },
        memory_budget_bytes: args.kv_memory_mib.map(|mib| mib.saturating_mul(1 << 20)),
        max_seqs: batch.iter().copied().max().unwrap_or(1).max(1),
        max_step_tokens: args.max_step_tokens.unwrap_or(defaults.max_step_tokens),
        threads: Some(threads),
        drafter,
        repack: args.cpu_repack.map_or(Repack::Auto, CpuRepackArg::repack),
        ..defaults
    };
    match (&args.model, args.synthetic) {
        (Some(dir), None) => {
            let what = || format!("--model {}", dir.display());
            let loaded = load_cpu(dir, &settings).with_context(what)?;
            Ok((loaded, ModelConfig::load(dir).with_context(what)?))
        }
        (None, Some(shape)) => {
            let config = shape.config();
            let loaded = load_cpu_synthetic(&config, Synthetic::seeded(args.seed), &settings)?;
            Ok((loaded, config))
        }
        _ => bail!("give either --model DIR or --synthetic tiny"),
    }
}

fn batch(args: &BenchEngineArgs) -> Vec<u32> {
    args.batch(&[1, 8, 32])
}

fn measure(
    args: &BenchEngineArgs,
    loaded: LoadedModel,
    config: &ModelConfig,
    bound: &CpuBound,
) -> Result<Vec<Figure>> {
    let (prompt, tokens) = (args.prompt.unwrap_or(16), args.tokens.unwrap_or(17));
    say!(
        "{:<35} {:>7} {:>8} {:>8} {:>9} {:>8}",
        "work",
        "tokens",
        "seconds",
        "CPU s",
        "tokens/s",
        "% bound"
    );
    let mut running = Running::start(loaded, 1, Vec::new())?;
    // The first step finds the weights on the disk.
    running.work(1, prompt, 2)?;
    let mut figures = Vec::new();
    for batch in batch(args) {
        let decode = running.work(batch, prompt, tokens)?;
        let step = bound.seconds(&StepWork::new(config, batch, batch));
        figures.push(figure(
            format!("decode, batch {batch}, from {prompt} on"),
            (decode.time, decode.tokens),
            decode.processor,
            f64::from(batch) / step,
        ));
    }
    for prompt in args.prefill(&[512, 2048]) {
        let (before, begun) = (ossmark_record::processor_time(), Instant::now());
        running.work(1, prompt, 1)?;
        let most = args
            .max_step_tokens
            .unwrap_or(CpuSettings::default().max_step_tokens);
        let steps = (prompt as u32).div_ceil(most).max(1);
        let step = |i: u32| {
            let rows = (prompt as u32 - i * most).min(most);
            bound.seconds(&StepWork::new(config, rows, u32::from(i + 1 == steps)))
        };
        let least: f64 = (0..steps).map(step).sum();
        figures.push(figure(
            format!("prefill of {prompt}"),
            (begun.elapsed(), prompt as u64),
            before.and_then(|b| ossmark_record::processor_time()?.checked_sub(b)),
            prompt as f64 / least,
        ));
    }
    running.engine.shutdown(Duration::from_secs(5))?;
    Ok(figures)
}

/// Shown as soon as it is measured.
fn figure(
    work: String,
    (time, tokens): (Duration, u64),
    processor: Option<Duration>,
    bound_tokens_per_s: f64,
) -> Figure {
    let seconds = time.as_secs_f64();
    let tokens_per_s = tokens as f64 / seconds;
    let processor_seconds = processor.map(|p| p.as_secs_f64());
    let cpu = processor_seconds.map_or("-".into(), |s| format!("{s:.2}"));
    say!(
        "{work:<35} {tokens:>7} {seconds:>8.3} {cpu:>8} {tokens_per_s:>9.1} {:>7.0}%",
        100.0 * tokens_per_s / bound_tokens_per_s
    );
    Figure {
        work,
        tokens,
        seconds,
        processor_seconds,
        tokens_per_s,
        bound_tokens_per_s,
    }
}
