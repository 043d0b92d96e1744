//! From a checkpoint folder to an executor on the CPU.

use std::path::Path;

use super::{CpuExperts, CpuOps, Repack, Simd, kv_block_bytes};
use crate::config::{LayerKind, ModelConfig};
use crate::dtype::{Dtype, KvDtype};
use crate::eagle3::{Drafter, Head, LoadedHead, SpeculativeRunner, synthetic_head_bytes};
use crate::executor::{Capacity, Executor};
use crate::load::{
    LoadedModel, ModelInfo, SYNTHETIC_NAME, check_limits, sequence_blocks, useful_blocks,
};
use crate::load_error::LoadError;
use crate::memory::check_rest;
use crate::model::{Model, Probe};
use crate::runner::ModelRunner;
use crate::weights::{Checkpoint, ModelSources, Placement, Synthetic, weight_bytes};

/// What the CPU engine may use.
#[derive(Clone, Debug)]
pub struct CpuSettings {
    /// Activations, keys and values. Either way four bytes each in memory: bf16 is a matter of rounding here.
    pub dtype: Dtype,
    /// How keys and values are kept.
    pub kv: KvDtype,
    /// Engines that share this machine, at least one: each takes that part of what it would take alone.
    pub engines: usize,
    /// Bytes for keys and values; `None`: a quarter of the memory that is available now. Never more than `max_seqs`
    /// sequences of full length need.
    pub memory_budget_bytes: Option<u64>,
    /// Positions in a KV block.
    pub block_size: u32,
    /// Most input tokens in a step.
    pub max_step_tokens: u32,
    /// Most sequences in a step.
    pub max_seqs: u32,
    /// `None`: one for each core.
    pub threads: Option<usize>,
    /// What drafts tokens, if anything does.
    pub drafter: Option<Drafter>,
    /// `None`: see [`Simd::from_environment`].
    pub simd: Option<Simd>,
    /// Whether experts are copied into the order in which they are read.
    pub repack: Repack,
    /// A changed model, for an auditor; never of a run.
    pub probe: Option<Probe>,
}

impl CpuSettings {
    /// Bytes of keys and values that a sequence of so many positions takes at most, those of a draft head not counted.
    #[must_use]
    pub fn sequence_bytes(&self, config: &ModelConfig, positions: u64) -> u64 {
        let (block, chunk) = (self.block_size, self.max_step_tokens);
        let has_full = config.layers.contains(&LayerKind::Full);
        let blocks = sequence_blocks(config, block, chunk, positions, has_full);
        blocks * kv_block_bytes(config, block as usize) as u64
    }

    /// Bytes that there are now for keys and values.
    #[must_use]
    pub fn kv_budget_bytes(&self) -> u64 {
        let share = || available_memory() / 4 / self.engines.max(1) as u64;
        self.memory_budget_bytes.unwrap_or_else(share)
    }
}

impl Default for CpuSettings {
    fn default() -> Self {
        Self {
            dtype: Dtype::Bf16,
            kv: KvDtype::AsActivations,
            engines: 1,
            memory_budget_bytes: None,
            block_size: 16,
            max_step_tokens: 512,
            max_seqs: 64,
            threads: None,
            drafter: None,
            simd: None,
            repack: Repack::Auto,
            probe: None,
        }
    }
}

/// Loads a checkpoint for the CPU: weights stay in memory maps, as shipped.
///
/// # Errors
/// No or a damaged checkpoint, a configuration or tensor that this engine does not take, settings without room.
pub fn load_cpu(dir: &Path, settings: &CpuSettings) -> Result<LoadedModel, LoadError> {
    let checkpoint = Checkpoint::open(dir)?;
    let config = ModelConfig::load(checkpoint.dir())?;
    let sources = ModelSources::find(&checkpoint, &config)?;
    load(
        &config,
        &sources,
        checkpoint.total_bytes(),
        "gpt-oss",
        settings,
    )
}

/// The same with random weights in memory, for shapes that fit: to try commands. What it answers is noise, and its
/// description says so.
///
/// # Errors
/// No room for the weights, settings without room.
pub fn load_cpu_synthetic(
    config: &ModelConfig,
    which: Synthetic,
    settings: &CpuSettings,
) -> Result<LoadedModel, LoadError> {
    let bytes = weight_bytes(config);
    check_synthetic(bytes)?;
    let sources = ModelSources::synthetic(config, which, Placement::InMemory)?;
    load(config, &sources, bytes, SYNTHETIC_NAME, settings)
}

fn check_synthetic(bytes: u64) -> Result<(), LoadError> {
    let available = available_memory();
    if bytes > available / 2 {
        return Err(LoadError::Settings(format!(
            "synthetic weights of this shape are {bytes} bytes, expected at most half of the {available} that are free: make \
             them on a GPU (--engine cuda), or take a smaller shape"
        )));
    }
    Ok(())
}

fn load(
    config: &ModelConfig,
    sources: &ModelSources,
    weight_bytes: u64,
    name: &str,
    settings: &CpuSettings,
) -> Result<LoadedModel, LoadError> {
    if let Some(Drafter::Synthetic(_)) = settings.drafter {
        check_synthetic(synthetic_head_bytes(config))?;
    }
    check_probe(config, settings)?;
    let head = settings.drafter.as_ref();
    let head = head.map(|d| LoadedHead::new(d, config, Placement::InMemory));
    let head = head.transpose()?;
    let block_bytes = |c: &ModelConfig| kv_block_bytes(c, settings.block_size as usize) as u64;
    let of_head = head
        .as_ref()
        .map_or(0, |h| block_bytes(&h.config.as_model()));
    let bytes_per_block = block_bytes(config) + of_head;
    let capacity = capacity(config, settings, bytes_per_block, head.as_ref())?;
    let threads = settings.threads.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, usize::from) / settings.engines.max(1)
    });
    let bf16 = settings.dtype == Dtype::Bf16;
    let mut ops = CpuOps::new(config, &capacity, bf16, threads.max(1))?;
    ops.set_kv_dtype(settings.kv);
    let (rows, logit_rows) = (
        settings.max_step_tokens as usize,
        logit_rows(settings) as usize,
    );
    if let Some(simd) = settings.simd {
        ops.set_simd(simd);
    }
    let simd = ops.simd();
    let kv_bytes = u64::from(capacity.n_blocks) * bytes_per_block;
    let mut copied = wants_copy(config, sources, settings, kv_bytes);
    let mut model = |copied| {
        ops.set_repack(copied);
        let model = Model::new(&mut ops, config, sources, rows, logit_rows)?;
        check_rest()?;
        Ok(model)
    };
    let model = match model(copied) {
        // A limit on this process's memory that the system's figure knows nothing of.
        Err(LoadError::NoMemory { .. }) if copied && settings.repack == Repack::Auto => {
            copied = false;
            model(copied)?
        }
        done => done?,
    };
    let drafter = head.as_ref().map(|h| {
        let (shape, rope) = (h.config.as_model(), h.config.rope.clone());
        let mut ops = ops.beside(&shape, rope, &capacity)?;
        let max_seqs = settings.max_seqs as usize;
        let head = Head::new(&mut ops, &h.config, &h.sources, &model, rows, max_seqs)?;
        Ok::<_, LoadError>((ops, head))
    });
    let drafter = drafter.transpose()?;
    check_rest()?;
    let info = ModelInfo {
        vocab_size: capacity.vocab_size,
        max_context: capacity.max_context,
        stop_tokens: config.stop_tokens.clone(),
        n_layers: config.layers.len() as u32,
        weight_bytes,
        kv_bytes_per_block: bytes_per_block,
        description: format!(
            "{name}, {} layers, hidden {}, {} experts top-{}, vocabulary {}, {:.1} MB of weights; CPU ({simd}), {threads} threads, {} \
             activations, {} KV blocks of {} positions{}{}{}",
            config.layers.len(),
            config.hidden,
            config.experts,
            config.top_k,
            config.vocab_size,
            weight_bytes as f64 / 1e6,
            if bf16 { "bf16" } else { "f32" },
            capacity.n_blocks,
            capacity.block_size,
            match settings.kv {
                KvDtype::AsActivations => "",
                KvDtype::Fp8 => ", keys and values rounded to fp8 (e4m3)",
            },
            if copied { ", experts repacked" } else { "" },
            head.as_ref().map_or("", |h| &h.description),
        ),
        warnings: Vec::new(),
        kernels: None,
    };
    let executor: Box<dyn Executor> = match drafter.zip(head.as_ref()) {
        Some((drafter, loaded)) => Box::new(SpeculativeRunner::new(
            (ops, model),
            drafter,
            loaded,
            capacity,
        )),
        None => Box::new(ModelRunner::new(ops, model, capacity).probed(settings.probe.clone())),
    };
    Ok(LoadedModel { executor, info })
}

/// A probe changes a layer that is there, and what a head drafts is no part of it.
fn check_probe(config: &ModelConfig, settings: &CpuSettings) -> Result<(), LoadError> {
    let Some(probe) = &settings.probe else {
        return Ok(());
    };
    if settings.drafter.is_some() {
        return Err(LoadError::Settings(
            "a changed model and a draft head: found both, expected one of them".into(),
        ));
    }
    let layers = config.layers.len();
    match probe.change.layer() {
        Some(layer) if layer as usize >= layers => Err(LoadError::Settings(format!(
            "the layer to change is {layer}, expected 0 to {}",
            layers - 1
        ))),
        _ => Ok(()),
    }
}

/// Rows whose logits are computed at a time: those of a step in which all sequences decode.
fn logit_rows(s: &CpuSettings) -> u32 {
    let span = 1 + s.drafter.as_ref().map_or(0, Drafter::steps);
    let all = s.max_seqs.saturating_mul(span);
    all.min(s.max_step_tokens.max(s.max_seqs))
}

/// Whether the experts are copied: `auto` when that takes at most half of what is free beside keys and values, for each
/// engine on this machine.
fn wants_copy(
    config: &ModelConfig,
    sources: &ModelSources,
    settings: &CpuSettings,
    kv_bytes: u64,
) -> bool {
    match settings.repack {
        Repack::On => true,
        Repack::Off => false,
        Repack::Auto => {
            let layers = sources.layers.iter();
            let bytes: usize = layers
                .map(|l| CpuExperts::copy_bytes(config, &l.experts))
                .sum();
            let engines = settings.engines.max(1) as u64;
            let free = available_memory().saturating_sub(kv_bytes * engines) / engines;
            bytes as u64 <= free / 2
        }
    }
}

fn capacity(
    config: &ModelConfig,
    s: &CpuSettings,
    bytes_per_block: u64,
    head: Option<&LoadedHead>,
) -> Result<Capacity, LoadError> {
    check_limits(s.block_size, s.max_step_tokens, s.max_seqs)?;
    let budget = s.kv_budget_bytes();
    // A head sees all positions, whatever the model's layers do.
    let has_full = head.is_some() || config.layers.contains(&LayerKind::Full);
    let block = u64::from(s.block_size);
    let useful = useful_blocks(
        config,
        s.block_size,
        s.max_step_tokens,
        s.max_seqs,
        has_full,
    );
    let n_blocks = (budget / bytes_per_block)
        .min(useful)
        .min(u64::from(u32::MAX - 1));
    let min = u64::from(has_full) + u64::from(config.window.is_some());
    if n_blocks < min {
        return Err(LoadError::Settings(format!(
            "the memory budget for keys and values is {budget} bytes, expected at least {} ({min} blocks of {block} \
             positions): raise it (--kv-memory-mib) or choose a smaller block",
            min * bytes_per_block
        )));
    }
    let buffers = head.map_or(0, |h| {
        h.scratch_bytes(u64::from(s.max_step_tokens), u64::from(s.max_seqs))
    });
    let needed = (n_blocks * bytes_per_block)
        .saturating_add(scratch_bytes(config, s))
        .saturating_add(buffers);
    let available = available_memory();
    if needed > available {
        return Err(LoadError::Settings(format!(
            "{n_blocks} KV blocks and the buffers for {} tokens and {} sequences a step need {needed} bytes, expected at \
             most the {available} of memory that are free: lower --kv-memory-mib, --max-step-tokens or --max-batch",
            s.max_step_tokens, s.max_seqs
        )));
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

/// Bytes of a step's largest buffers, see `Model::new`.
fn scratch_bytes(config: &ModelConfig, s: &CpuSettings) -> u64 {
    let (rows, logit_rows) = (u64::from(s.max_step_tokens), u64::from(logit_rows(s)));
    let row = 3 * config.hidden + config.qkv_dim() + config.q_dim() + config.experts;
    let pair = 2 * config.hidden + config.intermediate;
    4 * (rows * row as u64
        + rows * (config.top_k * pair) as u64
        + logit_rows * config.vocab_size as u64)
}

/// What Linux says it could give to a program without swapping; 4 GiB where it does not say.
fn available_memory() -> u64 {
    let kib = ossmark_files::read_to_string(Path::new("/proc/meminfo"))
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        });
    kib.map_or(4 << 30, |kib| kib * 1024)
}
