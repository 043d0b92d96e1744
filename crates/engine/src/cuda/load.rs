//! From a checkpoint folder to an executor on a CUDA device, and the memory budget.

use std::path::Path;
use std::sync::Arc;

use super::attention::pool::block_bytes;
use super::check;
use super::driver::graphs;
use super::ops::CudaOps;
use crate::config::ModelConfig;
use crate::dtype::KvDtype;
use crate::executor::Capacity;
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
    let (rows, logit_rows) = (
        settings.max_step_tokens as usize,
        settings.max_seqs as usize,
    );
    let model = Model::new(&mut ops, config, sources, rows, logit_rows)?;
    // What follows are no weights.
    ops.set_progress(&Arc::default());
    let left = ops.device.free_bytes()?;
    let block = block_bytes(config, settings.block_size as usize, settings.kv) as u64;
    let capacity = capacity(config, settings, block, left)?;
    ops.plan(&capacity)?;
    let device = ops.info().clone();
    let (major, minor) = device.capability;
    let free = ops.device.free_bytes()?;
    let mut runner = ModelRunner::new(ops, model, capacity);
    let mut warnings = Vec::new();
    let sizes = if settings.graphs {
        graphs::sizes(rows.min(logit_rows))
    } else {
        Vec::new()
    };
    if let Err(e) = runner.record(&sizes) {
        warnings.push(format!(
            "decode steps are launched kernel by kernel, which is slower: they could not be recorded ({e})"
        ));
    }
    let kernels = if settings.reference_kernels {
        "plain kernels alone".to_owned()
    } else if !settings.check {
        "kernels not checked".to_owned()
    } else if let Some(found) = check::check_kernels(&mut runner, config)? {
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
             positions), {:.2} of {:.2} GiB left; {kernels}",
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
        ),
        warnings,
    };
    Ok(LoadedModel {
        executor: Box::new(runner),
        info,
    })
}

fn capacity(
    config: &ModelConfig,
    s: &CudaSettings,
    block: u64,
    left: u64,
) -> Result<Capacity, LoadError> {
    let room = left.saturating_sub(RESERVE_BYTES.min(left / 8));
    let budget = s.memory_budget_bytes.unwrap_or(room);
    let has_full = config.layers.contains(&crate::config::LayerKind::Full);
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
        draft_tokens: 0,
    })
}
