//! From a checkpoint folder to an executor on a CUDA device, and the memory budget.

use std::path::Path;
use std::sync::Arc;

use super::attention::pool::block_bytes;
use super::check;
use super::driver::graphs;
use super::ops::CudaOps;
use super::select;
use crate::config::ModelConfig;
use crate::dtype::KvDtype;
use crate::eagle3::{Drafter, Head, LoadedHead, SpeculativeRunner};
use crate::executor::{Capacity, ExecError, Executor};
use crate::load::{LoadedModel, ModelInfo, SYNTHETIC_NAME, check_limits, useful_blocks};
use crate::load_error::LoadError;
use crate::load_progress::LoadProgress;
use crate::model::Model;
use crate::runner::ModelRunner;
use crate::weights::{Checkpoint, ModelSources, Placement, Synthetic, weight_bytes};

/// What the CUDA engine may use.
#[derive(Clone, Debug)]
pub struct CudaSettings {
    /// Which device.
    pub device: u32,
    /// Bytes for keys and values; `None`: what is left once weights and buffers are there, less a reserve.
    pub memory_budget_bytes: Option<u64>,
    /// Positions in a KV block. Attention is made for 16; other sizes are left to its reference kernel.
    pub block_size: u32,
    /// Most input tokens in a step.
    pub max_step_tokens: u32,
    /// Most sequences in a step.
    pub max_seqs: u32,
    /// How keys and values are kept.
    pub kv: KvDtype,
    /// Record decode steps when the model is loaded, and replay them.
    pub graphs: bool,
    /// Put a kernel on the device while the one before it still runs (programmatic dependent launch).
    pub overlap: bool,
    /// Compute with the reference kernels alone: slow, and what the others are checked against.
    pub reference_kernels: bool,
    /// Compare the kernels made for speed with the reference ones before anything is answered, and refuse to load when they
    /// differ.
    pub check: bool,
    /// What drafts tokens, if anything does.
    pub drafter: Option<Drafter>,
    /// Counts the weights' bytes while they are copied to the device; random weights are made there and not counted.
    pub progress: Arc<LoadProgress>,
}

impl Default for CudaSettings {
    fn default() -> Self {
        Self {
            device: 0,
            memory_budget_bytes: None,
            block_size: 16,
            max_step_tokens: 4096,
            max_seqs: 256,
            kv: KvDtype::AsActivations,
            graphs: true,
            overlap: true,
            reference_kernels: false,
            check: true,
            drafter: None,
            progress: Arc::default(),
        }
    }
}

/// Left free for the driver: local memory and printf buffers appear at the first launches.
const RESERVE_BYTES: u64 = 512 << 20;

const GIB: f64 = (1_u64 << 30) as f64;

/// Loads a checkpoint onto a CUDA device: weights as shipped, buffers for the largest step, and all that is left for keys
/// and values.
///
/// # Errors
/// No usable device, no room on it, no or a damaged checkpoint, a configuration that this engine does not take.
pub fn load_cuda(dir: &Path, settings: &CudaSettings) -> Result<LoadedModel, LoadError> {
    let checkpoint = Checkpoint::open(dir)?;
    let config = ModelConfig::load(checkpoint.dir())?;
    let sources = ModelSources::find(&checkpoint, &config)?;
    settings.progress.expect(checkpoint.total_bytes());
    load(
        &config,
        &sources,
        checkpoint.total_bytes(),
        "gpt-oss",
        settings,
    )
}

/// The same with random weights that are made on the device: for measurements of speed and memory. What it answers is
/// noise, and its description says so.
///
/// # Errors
/// No usable device, no room on it.
pub fn load_cuda_synthetic(
    config: &ModelConfig,
    which: Synthetic,
    settings: &CudaSettings,
) -> Result<LoadedModel, LoadError> {
    let sources = ModelSources::synthetic(config, which, Placement::OnDevice)?;
    load(
        config,
        &sources,
        weight_bytes(config),
        SYNTHETIC_NAME,
        settings,
    )
}

fn load(
    config: &ModelConfig,
    sources: &ModelSources,
    weight_bytes: u64,
    name: &str,
    settings: &CudaSettings,
) -> Result<LoadedModel, LoadError> {
    check_limits(
        settings.block_size,
        settings.max_step_tokens,
        settings.max_seqs,
    )?;
    // A row of a step is a block of a grid's second dimension somewhere.
    if settings.max_step_tokens > 32_768 {
        return Err(LoadError::Settings(format!(
            "max_step_tokens is {}, expected at most 32768 on a CUDA device",
            settings.max_step_tokens
        )));
    }
    let loaded = settings.drafter.as_ref();
    let loaded = loaded.map(|d| LoadedHead::new(d, config, Placement::OnDevice));
    let loaded = loaded.transpose()?;
    let mut ops = CudaOps::open(config, settings.device)?;
    ops.set_kv_dtype(settings.kv);
    ops.set_progress(&settings.progress);
    ops.use_reference_kernels(settings.reference_kernels);
    if !settings.overlap {
        ops.disable_overlap();
    }
    let at_first = ops.device.free_bytes()?;
    if weight_bytes > at_first {
        return Err(LoadError::DeviceMemory {
            what: "the weights".into(),
            bytes: weight_bytes,
            free: at_first,
        });
    }
    let span = 1 + loaded.as_ref().map_or(0, |l| l.steps);
    let rows = settings.max_step_tokens as usize;
    let logit_rows = rows.min((settings.max_seqs * span) as usize);
    let logit_rows = logit_rows.max(settings.max_seqs as usize);
    let model = Model::new(&mut ops, config, sources, rows, logit_rows)?;
    let head = loaded.as_ref().map(|l| {
        let mut head_ops = ops.beside(&l.config.as_model(), l.config.rope.clone())?;
        let (c, s) = (&l.config, &l.sources);
        let seqs = settings.max_seqs as usize;
        let head = Head::new(&mut head_ops, c, s, &model, rows, seqs)?;
        Ok::<_, LoadError>((l, head_ops, head))
    });
    let mut head = head.transpose()?;
    // What follows are no weights.
    ops.set_progress(&Arc::default());
    let left = ops.device.free_bytes()?;
    let block_bytes =
        |c: &ModelConfig| block_bytes(c, settings.block_size as usize, settings.kv) as u64;
    let of_head = loaded
        .as_ref()
        .map_or(0, |l| block_bytes(&l.config.as_model()));
    let block = block_bytes(config) + of_head;
    let capacity = capacity(config, settings, block, left, loaded.as_ref())?;
    ops.plan(&capacity)?;
    if let Some((_, head_ops, _)) = &mut head {
        head_ops.set_progress(&Arc::default());
        head_ops.plan_passes(&capacity, &ops)?;
    }
    let device = ops.info().clone();
    let (major, minor) = device.capability;
    let free = ops.device.free_bytes()?;
    let mut runner = ModelRunner::new(ops, model, capacity);
    let mut warnings = Vec::new();
    let mut warn = |recorded: Result<(), ExecError>| {
        if let Err(e) = recorded {
            warnings.push(format!(
                "decode steps are launched kernel by kernel, which is slower: they could not be recorded ({e})"
            ));
        }
    };
    // With a head a round is recorded, and no step without.
    if settings.graphs && head.is_none() {
        warn(runner.record(&graphs::sizes(rows.min(settings.max_seqs as usize))));
    }
    let mut checks = Vec::new();
    if settings.check && !settings.reference_kernels {
        checks.push(check::check_kernels(&mut runner, config)?);
    }
    let executor: Box<dyn Executor> = match head {
        None => Box::new(runner),
        Some((loaded, head_ops, head)) => {
            let mut runner =
                SpeculativeRunner::new(runner.into_parts(), (head_ops, head), loaded, capacity);
            // More new rows of a sequence are left to other kernels than those that were recorded.
            if settings.graphs && (span as usize) < select::MIN_PREFILL_ROWS {
                let seqs = (rows / span as usize).min(settings.max_seqs as usize);
                if seqs > 0 {
                    warn(runner.record(&graphs::sizes(seqs)));
                }
            }
            if settings.check && !settings.reference_kernels {
                checks.push(check::check_head(&mut runner, config)?);
            }
            Box::new(runner)
        }
    };
    let kernels = if settings.reference_kernels {
        "plain kernels alone".to_owned()
    } else if !settings.check {
        "kernels not checked".to_owned()
    } else if let Some(found) = check::KernelCheck::all(&checks) {
        format!(
            "kernels checked against the plain ones: {} results differ by at most {:.4} of their size",
            found.results, found.error
        )
    } else {
        "kernels not checked, for the KV memory is too small".to_owned()
    };
    let info = ModelInfo {
        vocab_size: capacity.vocab_size,
        max_context: capacity.max_context,
        stop_tokens: config.stop_tokens.clone(),
        n_layers: config.layers.len() as u32,
        weight_bytes,
        kv_bytes_per_block: block,
        description: format!(
            "{name}, {} layers, hidden {}, {} experts top-{}, vocabulary {}; {} (compute capability {major}.{minor}, {} \
             multiprocessors); memory: {:.2} GiB weights and buffers, {:.2} GiB keys and values in {} ({} blocks of {} \
             positions), {:.2} of {:.2} GiB left; {kernels}{}",
            config.layers.len(),
            config.hidden,
            config.experts,
            config.top_k,
            config.vocab_size,
            device.name,
            device.multiprocessors,
            at_first.saturating_sub(left) as f64 / GIB,
            (u64::from(capacity.n_blocks) * block) as f64 / GIB,
            match settings.kv {
                KvDtype::AsActivations => "bf16",
                KvDtype::Fp8 => "fp8 (e4m3)",
            },
            capacity.n_blocks,
            capacity.block_size,
            free as f64 / GIB,
            device.total_bytes as f64 / GIB,
            loaded.as_ref().map_or("", |l| &l.description),
        ),
        warnings,
    };
    Ok(LoadedModel { executor, info })
}

fn capacity(
    config: &ModelConfig,
    s: &CudaSettings,
    block: u64,
    left: u64,
    head: Option<&LoadedHead>,
) -> Result<Capacity, LoadError> {
    let room = left.saturating_sub(RESERVE_BYTES.min(left / 8));
    let budget = s.memory_budget_bytes.unwrap_or(room);
    // A head sees all positions, whatever the model's layers do.
    let has_full = head.is_some() || config.layers.contains(&crate::config::LayerKind::Full);
    let useful = useful_blocks(
        config,
        s.block_size,
        s.max_step_tokens,
        s.max_seqs,
        has_full,
    );
    let n_blocks = (budget / block).min(useful).min(u64::from(u32::MAX - 1));
    let min = u64::from(has_full) + u64::from(config.window.is_some());
    if n_blocks < min || n_blocks * block > room {
        return Err(LoadError::DeviceMemory {
            what: format!(
                "{} KV blocks of {} positions",
                n_blocks.max(min),
                s.block_size
            ),
            bytes: n_blocks.max(min) * block,
            free: room,
        });
    }
    Ok(Capacity {
        n_blocks: n_blocks as u32,
        block_size: s.block_size,
        window: config.window.map(|w| w as u32),
        has_full,
        max_step_tokens: s.max_step_tokens,
        max_seqs: s.max_seqs,
        max_context: config.max_context as u32,
        vocab_size: config.vocab_size as u32,
        draft_tokens: head.map_or(0, |h| h.steps),
    })
}
