//! From a checkpoint folder to an executor on a CUDA device, and the memory budget.

use std::path::Path;
use std::sync::Arc;

use super::attention::pool::block_bytes;
use super::driver::graphs;
use super::ops::CudaOps;
use super::prepare::{HeadParts, Prepared, prepare};
use super::settings::CudaSettings;
use crate::config::{LayerKind, ModelConfig};
use crate::dtype::KvDtype;
use crate::eagle3::{Head, LoadedHead};
use crate::executor::Capacity;
use crate::load::{
    LoadedModel, ModelInfo, SYNTHETIC_NAME, check_limits, sequence_blocks, useful_blocks,
};
use crate::load_error::LoadError;
use crate::model::Model;
use crate::runner::ModelRunner;
use crate::weights::{Checkpoint, ModelSources, Placement, Synthetic, weight_bytes};

/// Left free for the driver: local memory and printf buffers appear at the first launches.
const RESERVE_BYTES: u64 = 512 << 20;
/// And for each launch of a recorded step: drivers were seen to take 20 to 64 KiB.
const RECORDED_LAUNCH_BYTES: u64 = 64 << 10;
/// Launches of a layer, with some to spare.
const LAUNCHES_OF_LAYER: u64 = 12;

impl CudaSettings {
    /// Bytes of keys and values that a sequence of so many positions takes at most, those of a draft head not counted.
    #[must_use]
    pub fn sequence_bytes(&self, config: &ModelConfig, positions: u64) -> u64 {
        let (block, chunk) = (self.block_size, self.max_step_tokens);
        let has_full = config.layers.contains(&LayerKind::Full);
        let blocks = sequence_blocks(config, block, chunk, positions, has_full);
        blocks * block_bytes(config, block as usize, self.kv) as u64
    }
}

/// What is left free of `left` bytes.
fn reserve(config: &ModelConfig, s: &CudaSettings, left: u64) -> u64 {
    let sizes = match s.graphs {
        true => graphs::sizes(s.max_step_tokens.min(s.max_seqs) as usize).len() as u64,
        false => 0,
    };
    let recorded = sizes * config.layers.len() as u64 * LAUNCHES_OF_LAYER * RECORDED_LAUNCH_BYTES;
    (RESERVE_BYTES + recorded).min(left / 8)
}

/// Positions of a sequence that room is counted for: what MLPerf's prompts (4,638 on average, docs/gpu.md) have half way
/// through an answer.
const TYPICAL_POSITIONS: usize = 5300;
/// Sizes of recorded steps are multiples of it where there are so many.
const SEQS_ROUND: u64 = 64;

/// Most sequences in a step, with `room` bytes for keys and values. The weights of all experts are read whatever the batch, so
/// that more sequences in a step cost little.
fn most_seqs(config: &ModelConfig, s: &CudaSettings, room: u64) -> u32 {
    let size = s.block_size as usize;
    let full = TYPICAL_POSITIONS.div_ceil(size);
    let window = config.window.map_or(0, |w| w.div_ceil(size) + 1);
    let bytes = (full + window) * block_bytes(config, size, s.kv);
    let seqs = room / bytes.max(1) as u64 / SEQS_ROUND * SEQS_ROUND;
    // With a head a step has several rows of each, and their logits.
    let up_to = match s.drafter {
        None => s.max_seqs_up_to,
        Some(_) => s.max_seqs,
    };
    (seqs.min(u64::from(up_to)) as u32).max(s.max_seqs)
}

const GIB: f64 = (1_u64 << 30) as f64;

/// Loads a checkpoint onto a CUDA device: weights, buffers for the largest step, and all that is left for keys
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
    let room = at_first - weight_bytes;
    let room = room.saturating_sub(reserve(config, settings, room));
    let settings = &CudaSettings {
        max_seqs: most_seqs(config, settings, room),
        ..settings.clone()
    };
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
    ops.device.leave_out(settings.without);
    let head = head.map(|(loaded, ops, head)| HeadParts { loaded, ops, head });
    let runner = ModelRunner::new(ops, model, capacity);
    let ready = prepare(runner, head, config, settings)?;
    let Prepared {
        executor,
        warnings,
        kernels,
        free,
    } = ready;
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
             positions), {:.2} GiB recorded decode steps, {:.2} of {:.2} GiB left; {}{}",
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
            kernels.recorded_bytes as f64 / GIB,
            free as f64 / GIB,
            device.total_bytes as f64 / GIB,
            kernels,
            loaded.as_ref().map_or("", |l| &l.description),
        ),
        warnings,
        kernels: Some(kernels),
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
    let room = left.saturating_sub(reserve(config, s, left));
    let budget = s.memory_budget_bytes.unwrap_or(room);
    // A head sees all positions, whatever the model's layers do.
    let has_full = head.is_some() || config.layers.contains(&LayerKind::Full);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::gpt_oss_120b;

    #[test]
    fn as_many_sequences_as_keys_and_values_leave_room_for() {
        let c = gpt_oss_120b();
        let with = |kv, up_to| CudaSettings {
            kv,
            max_seqs_up_to: up_to,
            ..CudaSettings::default()
        };
        let (fp8, bf16) = (with(KvDtype::Fp8, 640), with(KvDtype::AsActivations, 640));
        // An H200 has some 75 GiB beside the weights, an H100 with 80 GB some 15.
        assert_eq!(most_seqs(&c, &fp8, 75 << 30), 640);
        assert_eq!(most_seqs(&c, &bf16, 75 << 30), 384);
        assert_eq!(most_seqs(&c, &fp8, 15 << 30), 256);
        assert_eq!(most_seqs(&c, &fp8, 0), 256);
        // What was asked for stays.
        assert_eq!(most_seqs(&c, &with(KvDtype::Fp8, 256), 75 << 30), 256);
        let more = CudaSettings {
            max_seqs: 300,
            ..with(KvDtype::Fp8, 256)
        };
        assert_eq!(most_seqs(&c, &more, 75 << 30), 300);
    }

    #[test]
    fn more_recorded_steps_leave_more_free() {
        let c = gpt_oss_120b();
        let with = |max_seqs, graphs| CudaSettings {
            max_seqs,
            graphs,
            ..CudaSettings::default()
        };
        let left = 100 << 30;
        let of = |max_seqs, graphs| reserve(&c, &with(max_seqs, graphs), left);
        assert_eq!(of(256, false), 512 << 20);
        // 20 and 26 sizes of 36 layers of 12 launches.
        assert_eq!(of(256, true), (512 << 20) + ((20 * 36 * 12) << 16));
        assert_eq!(of(640, true), (512 << 20) + ((26 * 36 * 12) << 16));
        // A small device is not left without keys and values.
        assert_eq!(reserve(&c, &with(256, true), 800), 100);
    }
}
