//! From a checkpoint folder to an executor on the CPU.

use std::path::Path;

use crate::config::ModelConfig;
use crate::cpu::{CpuOps, kv_block_bytes};
use crate::executor::{Capacity, ExecError, Executor, StepHandle, StepPlan, StepTokens};
use crate::load_error::LoadError;
use crate::memory::check_rest;
use crate::model::Model;
use crate::runner::ModelRunner;
use crate::types::TokenId;
use crate::weights::{Checkpoint, Made, ModelSources, Synthetic, weight_bytes};

/// How activations, keys and values are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dtype {
    /// As the model was made for.
    #[default]
    Bf16,
    /// Reference numerics.
    F32,
}

/// How keys and values are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvDtype {
    /// Like activations.
    #[default]
    AsActivations,
    /// e4m3, without a scale: rounded to nearest even and held within ±448. Half of bf16's memory on a CUDA device; a
    /// matter of rounding on the CPU.
    Fp8,
}

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
        }
    }
}

/// What a run wants to know about its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Token ids are below this.
    pub vocab_size: u32,
    /// Longest sequence.
    pub max_context: u32,
    /// Tokens that end an answer; may be empty.
    pub stop_tokens: Vec<TokenId>,
    /// Layers.
    pub n_layers: u32,
    /// Bytes of the checkpoint's weight files.
    pub weight_bytes: u64,
    /// Bytes of one KV block.
    pub kv_bytes_per_block: u64,
    /// One line for people.
    pub description: String,
    /// What people should know besides: something works, but not as it might.
    pub warnings: Vec<String>,
}

/// A model that is ready to run.
pub struct LoadedModel {
    /// Runs its steps.
    pub executor: Box<dyn Executor>,
    /// About it.
    pub info: ModelInfo,
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

/// How a model of random weights calls itself, wherever it is named.
pub(crate) const SYNTHETIC_NAME: &str = "SYNTHETIC random weights in gpt-oss's shape";

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
    let (bytes, available) = (weight_bytes(config), available_memory());
    if bytes > available / 2 {
        return Err(LoadError::Settings(format!(
            "synthetic weights of this shape are {bytes} bytes, expected at most half of the {available} that are free: make              them on a GPU (--engine cuda), or take a smaller shape"
        )));
    }
    let sources = ModelSources::synthetic(config, which, Made::InMemory)?;
    load(config, &sources, bytes, SYNTHETIC_NAME, settings)
}

fn load(
    config: &ModelConfig,
    sources: &ModelSources,
    weight_bytes: u64,
    name: &str,
    settings: &CpuSettings,
) -> Result<LoadedModel, LoadError> {
    let bytes_per_block = kv_block_bytes(config, settings.block_size as usize) as u64;
    let capacity = capacity(config, settings, bytes_per_block)?;
    let threads = settings.threads.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, usize::from) / settings.engines.max(1)
    });
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.max(1))
        .thread_name(|i| format!("cpu-{i}"))
        .build()
        .map_err(|e| LoadError::Settings(format!("cannot start {threads} threads: {e}")))?;
    let bf16 = settings.dtype == Dtype::Bf16;
    let mut ops = CpuOps::new(config, &capacity, bf16, threads.max(1))?;
    ops.keep_kv(settings.kv);
    let (rows, heads) = (
        settings.max_step_tokens as usize,
        settings.max_seqs as usize,
    );
    let model = Model::new(&mut ops, config, sources, rows, heads)?;
    check_rest()?;
    let info = ModelInfo {
        vocab_size: capacity.vocab_size,
        max_context: capacity.max_context,
        stop_tokens: config.stop_tokens.clone(),
        n_layers: config.layers.len() as u32,
        weight_bytes,
        kv_bytes_per_block: bytes_per_block,
        description: format!(
            "{name}, {} layers, hidden {}, {} experts top-{}, vocabulary {}, {:.1} MB of weights; CPU, {threads} threads, {} \
             activations, {} KV blocks of {} positions{}",
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
        ),
        warnings: Vec::new(),
    };
    let runner = ModelRunner::new(ops, model, capacity);
    Ok(LoadedModel {
        executor: Box::new(InPool { pool, runner }),
        info,
    })
}

fn capacity(
    config: &ModelConfig,
    s: &CpuSettings,
    bytes_per_block: u64,
) -> Result<Capacity, LoadError> {
    check_limits(s.block_size, s.max_step_tokens, s.max_seqs)?;
    let budget = s
        .memory_budget_bytes
        .unwrap_or_else(|| available_memory() / 4 / s.engines.max(1) as u64);
    let has_full = config.layers.contains(&crate::config::LayerKind::Full);
    let block = u64::from(s.block_size);
    let useful = useful_blocks(config, s.block_size, s.max_step_tokens, s.max_seqs);
    let n_blocks = (budget / bytes_per_block)
        .min(useful)
        .min(u64::from(u32::MAX - 1));
    let least = u64::from(has_full) + u64::from(config.window.is_some());
    if n_blocks < least {
        return Err(LoadError::Settings(format!(
            "the memory budget for keys and values is {budget} bytes, expected at least {} ({least} blocks of {block} \
             positions): raise it (--kv-memory-mib) or choose a smaller block",
            least * bytes_per_block
        )));
    }
    let needed = (n_blocks * bytes_per_block).saturating_add(scratch_bytes(config, s));
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
    })
}

/// Refuses settings of a step that no device takes.
pub(crate) fn check_limits(
    block_size: u32,
    max_step_tokens: u32,
    max_seqs: u32,
) -> Result<(), LoadError> {
    for (name, value, most) in [
        ("block_size", block_size, 1024),
        ("max_step_tokens", max_step_tokens, 1 << 16),
        ("max_seqs", max_seqs, 1 << 16),
    ] {
        if !(1..=most).contains(&value) {
            return Err(LoadError::Settings(format!(
                "{name} is {value}, expected 1 to {most}"
            )));
        }
    }
    Ok(())
}

/// KV blocks that `max_seqs` sequences of full length need; more would never be used.
pub(crate) fn useful_blocks(
    config: &ModelConfig,
    block_size: u32,
    max_step_tokens: u32,
    max_seqs: u32,
) -> u64 {
    let blocks_of = |positions: u64| positions.div_ceil(u64::from(block_size));
    let all = blocks_of(config.max_context as u64);
    let full = if config.layers.contains(&crate::config::LayerKind::Full) {
        all
    } else {
        0
    };
    // A chunk may begin and end inside blocks.
    let window = config.window.map_or(0, |w| {
        all.min(blocks_of(w as u64 + u64::from(max_step_tokens)) + 1)
    });
    (full + window) * u64::from(max_seqs)
}

/// Bytes of a step's largest buffers, see `Model::new`.
fn scratch_bytes(config: &ModelConfig, s: &CpuSettings) -> u64 {
    let (rows, heads) = (u64::from(s.max_step_tokens), u64::from(s.max_seqs));
    let row = 3 * config.hidden + config.qkv_dim() + config.q_dim() + config.experts;
    let pair = 2 * config.hidden + config.intermediate;
    4 * (rows * row as u64 + rows * (config.top_k * pair) as u64 + heads * config.vocab_size as u64)
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

/// Computes each step inside a pool of threads, so that the operations need not enter it one by one.
struct InPool<E> {
    pool: rayon::ThreadPool,
    runner: E,
}

impl<E: Executor> Executor for InPool<E> {
    fn capacity(&self) -> Capacity {
        self.runner.capacity()
    }

    fn submit(&mut self, plan: StepPlan) -> Result<StepHandle, ExecError> {
        let runner = &mut self.runner;
        self.pool.install(|| runner.submit(plan))
    }

    fn wait(&mut self, step: StepHandle) -> Result<StepTokens, ExecError> {
        self.runner.wait(step)
    }
}
