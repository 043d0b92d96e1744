//! `ossmark bench kernels` and `ossmark bench engine`: the CUDA engine at gpt-oss-120b's shape, on random weights unless a
//! checkpoint is named. Everything that they print says on which weights and which device it was measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ossmark_engine::cuda::{MeasureSettings, Timing, measure};
use ossmark_engine::weights::{Synthetic, gpt_oss_120b};
use ossmark_engine::{
    CudaSettings, KvDtype, LoadedModel, ModelInfo, load_cuda, load_cuda_synthetic,
};
use ossmark_protocol::{Request, RequestId, StopTokens, TokenId};
use serde::Serialize;
use serde_json::json;

use super::running::{Running, SAMPLED};
use super::speculation::Comparison;
use crate::children;
use crate::cli::{
    BenchEngineArg, BenchEngineArgs, BenchKernelsArgs, DtypeArg, KvDtypeArg, WithoutArg,
};
use crate::exit::Outcome;
use crate::generator::device::cache_folder;
use crate::output::{self, Output};
use crate::terminal::say;

/// Times every operation.
pub(crate) fn kernels(args: &BenchKernelsArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let mut config = gpt_oss_120b();
    if args.tiny {
        (
            config.vocab_size,
            config.hidden,
            config.intermediate,
            config.experts,
        ) = (500, 128, 64, 8);
        (config.heads, config.kv_heads) = (16, 2);
    }
    say!(
        "synthetic weights{}",
        if args.tiny {
            ", tiny shape: these times mean nothing"
        } else {
            ""
        }
    );
    // A share of what the machine can do stands in place of the figure that it is of.
    let [bytes, flops] = [
        (args.copy_gbs, "GB/s", "% copy"),
        (args.product_tflops, "TFLOP/s", "% product"),
    ]
    .map(|(most, figure, share)| if most.is_some() { share } else { figure });
    say!(
        "{:<21} {:<22} {:>9} {bytes:>7} {flops:>9} {:>7}",
        "operation",
        "shape",
        "us",
        "error"
    );
    let settings = MeasureSettings {
        device: 0,
        config,
        batches: args.batch.clone(),
        prefills: args.prefill.clone(),
        context: args.context,
        runs: args.runs,
        reference: args.plain,
        without: args.without_kernels.iter().copied().collect(),
        seed: args.seed,
        flush_bytes: if args.tiny { 1 << 16 } else { 256 << 20 },
    };
    // Shown and written one by one: what is measured is not lost with what fails after it, or is stopped.
    let (mut rows, mut wrong, mut written) = (Vec::new(), false, Ok(()));
    measure(settings, &mut |t| {
        show(&t, args);
        wrong |= t.ms.is_none();
        rows.push(
            json!({ "op": t.op, "shape": t.shape, "kernels": t.kernels, "ms": t.ms, "bytes": t.bytes, "flops": t.flops,
                    "relative_error": t.error }),
        );
        let report = json!({ "weights": "synthetic", "context": args.context, "seed": args.seed, "timings": rows });
        if written.is_ok() {
            written = write_report(json_file.as_mut(), &report);
        }
    })?;
    written?;
    Ok(if wrong {
        Outcome::NotGood
    } else {
        Outcome::Good
    })
}

/// A row of a table that fits a terminal; the plain kernels' stands below that of the best.
fn show(t: &Timing, args: &BenchKernelsArgs) {
    let op = match t.kernels {
        "plain" => "  plain kernels",
        _ => t.op.as_str(),
    };
    let shape = &t.shape;
    let Some(ms) = t.ms else {
        say!(
            "{op:<21} {shape:<22} WRONG: differs by {:.1e}, not timed",
            t.error
        );
        return;
    };
    let figure = |found: f64, most: Option<f64>, decimals: usize| match most {
        None => format!("{found:.decimals$}"),
        Some(most) => format!("{:.0}", 100.0 * found / most),
    };
    say!(
        "{op:<21} {shape:<22} {:>9.1} {:>7} {:>9} {:>7.1e}",
        ms * 1e3,
        figure(t.bytes / ms / 1e6, args.copy_gbs, 0),
        figure(t.flops / ms / 1e9, args.product_tflops, 1),
        t.error
    );
}

/// A file is replaced by each; a pipe gets one after the other.
fn write_report(file: Option<&mut Output>, report: &serde_json::Value) -> Result<()> {
    file.map_or(Ok(()), |file| file.write_json(report))
}

#[derive(Debug, Serialize)]
struct Figure {
    work: String,
    seconds: f64,
    tokens: u64,
    tokens_per_s: f64,
}

/// One way to run the model, and what it showed.
struct EngineFigures {
    kv: KvDtypeArg,
    info: ModelInfo,
    figures: Vec<Figure>,
}

/// Single stream, batches, prefill, in each of the ways that were asked for.
pub(crate) fn engine(args: &BenchEngineArgs) -> Result<Outcome> {
    if args.engine == BenchEngineArg::Cpu {
        return super::cpu::engine(args);
    }
    children::end_at_signal()?;
    if !args.threads.is_empty() || args.dtype == Some(DtypeArg::F32) || args.cpu_repack.is_some() {
        bail!("--threads, --dtype f32 and --cpu-repack are for --engine cpu");
    }
    let comparison = Comparison::asked(args)?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    if !(0.0..1.0).contains(&args.offline_spread) {
        bail!(
            "--offline-spread {}: expected at least 0 and less than 1",
            args.offline_spread
        );
    }
    let mut ways = Vec::new();
    let first = args.kv_dtype.first().copied().unwrap_or(KvDtypeArg::Bf16);
    let whole = args.kv_dtype.iter().map(|kv| (*kv, None));
    let less = args.without.iter().map(|without| (first, Some(*without)));
    for (kv, without) in whole.chain(less) {
        let (graphs, overlap) = (
            without != Some(WithoutArg::Graphs),
            without != Some(WithoutArg::Overlap),
        );
        say!(
            "keys and values {kv:?}, recorded decode steps: {graphs}, overlapping kernels: {overlap}"
        );
        ways.push(match &comparison {
            Some(comparison) => {
                let load = |drafter| {
                    let settings = settings(args, &comparison.batch, kv, graphs, overlap);
                    load(
                        args,
                        &CudaSettings {
                            drafter,
                            ..settings
                        },
                    )
                };
                let (mut way, _) = comparison.measure((2, 1), load)?;
                way["kv_dtype"] = json!(kv);
                way
            }
            None => {
                let w = measure_engine(args, kv, graphs, overlap)?;
                json!({
                    "model": w.info.description, "warnings": w.info.warnings, "kv_dtype": w.kv,
                    "graphs": graphs, "overlap": overlap, "kernels": w.info.kernels, "figures": w.figures,
                })
            }
        });
        // After each, so that it is not lost with what fails after it, or is stopped.
        write_report(json_file.as_mut(), &json!({ "ways": ways }))?;
    }
    Ok(Outcome::Good)
}

fn measure_engine(
    args: &BenchEngineArgs,
    kv: KvDtypeArg,
    graphs: bool,
    overlap: bool,
) -> Result<EngineFigures> {
    let (batch, prefill) = (
        args.batch(&[1, 8, 64, 256]),
        args.prefill(&[2048, 4096, 8192]),
    );
    let (prompt, tokens) = (args.prompt.unwrap_or(128), args.tokens.unwrap_or(128));
    let loaded = load(args, &settings(args, &batch, kv, graphs, overlap))?;
    let info = loaded.info.clone();
    say!("{}", info.description);
    for warning in &info.warnings {
        say!("warning: {warning}");
    }
    say!(
        "{:<48} {:>9} {:>9} {:>10}",
        "work",
        "tokens",
        "seconds",
        "tokens/s"
    );
    let mut running = Running::start(loaded, 2, Vec::new())?;
    // The first launches of each kernel pay for its loading.
    running.work(2, 40, 4)?;
    let mut figures = Vec::new();
    for batch in &batch {
        let decode = running.work(*batch, prompt, tokens)?;
        figures.push(figure(
            format!("decode, batch {batch}, from {prompt} on"),
            decode.time,
            decode.tokens,
        ));
    }
    for prompt in &prefill {
        let started = Instant::now();
        running.work(1, *prompt, 1)?;
        figures.push(figure(
            format!("prefill of {prompt}"),
            started.elapsed(),
            *prompt as u64,
        ));
    }
    if args.offline > 0 {
        figures.push(running.offline(args)?);
    }
    running.engine.shutdown(Duration::from_secs(5))?;
    Ok(EngineFigures { kv, info, figures })
}

fn settings(
    args: &BenchEngineArgs,
    batch: &[u32],
    kv: KvDtypeArg,
    graphs: bool,
    overlap: bool,
) -> CudaSettings {
    CudaSettings {
        memory_budget_bytes: args.kv_memory_mib.map(|mib| mib.saturating_mul(1 << 20)),
        max_seqs: batch.iter().copied().max().unwrap_or(1).max(1),
        max_step_tokens: args.max_step_tokens.unwrap_or(4096),
        kv: match kv {
            KvDtypeArg::Bf16 => KvDtype::AsActivations,
            KvDtypeArg::Fp8 => KvDtype::Fp8,
        },
        graphs,
        overlap,
        without: args.without_kernels.iter().copied().collect(),
        tune: !args.no_tune,
        tune_cache: cache_folder(),
        ..CudaSettings::default()
    }
}

fn load(args: &BenchEngineArgs, settings: &CudaSettings) -> Result<LoadedModel> {
    match (&args.model, args.synthetic) {
        (Some(dir), None) => {
            load_cuda(dir, settings).with_context(|| format!("--model {}", dir.display()))
        }
        (None, Some(shape)) => {
            let which = Synthetic::seeded(args.seed);
            Ok(load_cuda_synthetic(&shape.config(), which, settings)?)
        }
        _ => bail!("give either --model DIR or --synthetic gpt-oss-120b"),
    }
}

/// Shown as soon as it is measured.
fn figure(work: String, time: Duration, tokens: u64) -> Figure {
    let seconds = time.as_secs_f64();
    let tokens_per_s = tokens as f64 / seconds;
    say!("{work:<48} {tokens:>9} {seconds:>9.3} {tokens_per_s:>10.1}");
    Figure {
        work,
        seconds,
        tokens,
        tokens_per_s,
    }
}

impl Running {
    /// All requests at once, to the end of the last; the tokens counted are those of the answers.
    fn offline(&mut self, args: &BenchEngineArgs) -> Result<Figure> {
        let n = args.offline;
        // Two orders without a common step, so that long prompts do not go with long answers.
        let length = |mean: f64, place: u32| {
            let share = f64::from(place % n) / f64::from((n - 1).max(1));
            (mean * (1.0 + args.offline_spread * (2.0 * share - 1.0))).max(1.0)
        };
        let requests = (0..n).map(|i| {
            let prompt = length(args.offline_prompt as f64, i) as u32;
            let token =
                |p: u32| p.wrapping_mul(7919).wrapping_add(i.wrapping_mul(104_729)) % self.vocab;
            Request {
                id: RequestId(self.next + u64::from(i)),
                prompt: (0..prompt).map(token).collect::<Arc<[TokenId]>>(),
                sampling: SAMPLED,
                seed: u64::from(i),
                max_new_tokens: length(f64::from(args.offline_tokens), i * 7 + 3) as u32,
                want_logits: false,
                stop_tokens: StopTokens::default(),
                ignore_eos: false,
            }
        });
        let started = Instant::now();
        self.engine.submit(requests.collect())?;
        self.next += u64::from(n);
        let (mut open, mut tokens) = (n, 0);
        while open > 0 {
            let (_, step) = self.step()?;
            tokens += step.tokens.len() as u64;
            open -= step.outputs.iter().filter(|o| o.end.is_some()).count() as u32;
        }
        let work = format!(
            "offline, {n} x {} + {}, spread {}",
            args.offline_prompt, args.offline_tokens, args.offline_spread
        );
        Ok(figure(work, started.elapsed(), tokens))
    }
}
