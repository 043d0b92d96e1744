//! `ossmark bench tune`: the table behind the choice of kernels that an engine makes when it starts.

use anyhow::{Context, Result, bail};
use ossmark_engine::cuda::{Chosen, Thresholds, TimedOp};
use ossmark_engine::weights::Synthetic;
use ossmark_engine::{CudaSettings, LoadedModel, load_cuda, load_cuda_synthetic};
use serde_json::json;

use crate::children;
use crate::cli::BenchTuneArgs;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::say;

/// Measures anew, and keeps nothing.
pub(crate) fn tune(args: &BenchTuneArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let loaded = load(args)?;
    let info = loaded.info;
    say!("{}", info.description);
    for warning in &info.warnings {
        say!("warning: {warning}");
    }
    let chosen = info.kernels.as_ref().and_then(|k| k.chosen.as_ref());
    let chosen = chosen.context("nothing was measured")?;
    show(chosen);
    if let Some(file) = json_file.as_mut() {
        let report = json!({
            "model": info.description, "warnings": info.warnings, "kernels": info.kernels,
        });
        file.write_json(&report)?;
    }
    Ok(Outcome::Good)
}

fn load(args: &BenchTuneArgs) -> Result<LoadedModel> {
    let settings = CudaSettings {
        memory_budget_bytes: args.kv_memory_mib.map(|mib| mib.saturating_mul(1 << 20)),
        max_seqs: args.max_batch,
        max_step_tokens: args.max_step_tokens,
        without: args.without_kernels.iter().copied().collect(),
        graphs: false,
        tune: true,
        ..CudaSettings::default()
    };
    match (&args.model, args.synthetic) {
        (Some(dir), None) => {
            load_cuda(dir, &settings).with_context(|| format!("--model {}", dir.display()))
        }
        (None, Some(shape)) => {
            let which = Synthetic::seeded(args.seed);
            Ok(load_cuda_synthetic(&shape.config(), which, &settings)?)
        }
        _ => bail!("give either --model DIR or --synthetic gpt-oss-120b"),
    }
}

fn show(chosen: &Chosen) {
    say!(
        "all layers together, median of whole passes, {:.1} s",
        chosen.seconds
    );
    say!(
        "{:<10} {:>6} {:>12} {:>12} {:>8}",
        "operation",
        "rows",
        "few rows ms",
        "many rows ms",
        "faster"
    );
    let Thresholds {
        qkv,
        out,
        head,
        router,
        experts,
    } = chosen.thresholds;
    for (op, name, from) in [
        (TimedOp::Qkv, "qkv", qkv),
        (TimedOp::Out, "out", out),
        (TimedOp::Router, "router", router),
        (TimedOp::Experts, "experts", experts),
        (TimedOp::Head, "head", head),
    ] {
        for t in chosen.times.iter().filter(|t| t.op == op) {
            let faster = if t.many_ms < t.few_ms { "many" } else { "few" };
            say!(
                "{name:<10} {:>6} {:>12.3} {:>12.3} {faster:>8}",
                t.rows,
                t.few_ms,
                t.many_ms
            );
        }
        match from {
            u32::MAX => say!("{name}: the kernels for few rows take all steps"),
            from => say!("{name}: the kernels for many rows take steps from {from} rows on"),
        }
    }
}
