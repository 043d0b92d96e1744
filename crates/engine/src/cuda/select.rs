//! Which kernels take an operation: bound by memory below some number of rows, by the tensor cores above. Host side only.

use super::attention::args::{Context, Operands};
use super::attention::{attention_decode, attention_prefill, attention_reference};
use super::attention::{kv_write, rope, rope_kv};
use super::buffer::CudaBuf;
use super::dense::args::Linear;
use super::dense::linear_wgmma::ColumnParts;
use super::dense::{linear_mma, linear_reference, linear_wgmma, rmsnorm, sample};
use super::draft::args::Argmax;
use super::draft::{draft_argmax, draft_argmax_wgmma};
use super::driver::{Device, Memory};
use super::fast::FastKernel;
use super::moe::args::{Down, GateUp};
use super::moe::tiles::{KernelVariant, mma_takes, wgmma_takes};
use super::moe::{moe_down_mma, moe_down_reference, moe_down_wgmma, topk_softmax};
use super::moe::{moe_gate_up_mma, moe_gate_up_reference, moe_gate_up_wgmma};
use super::thresholds::MIN_WGMMA_ROWS;
use super::weights::CudaLinear;
use crate::config::ModelConfig;
use crate::load_error::LoadError;
use crate::ops::{KvLayer, OpResult};

/// Refuses a shape beyond the kernels' limits.
pub(super) fn check_shape(config: &ModelConfig) -> Result<(), LoadError> {
    for (name, found, max) in [
        (
            "head_dim",
            config.head_dim,
            attention_reference::MAX_HEAD_DIM,
        ),
        ("experts", config.experts, topk_softmax::MAX_EXPERTS),
        ("experts a token", config.top_k, topk_softmax::MAX_CHOICES),
        ("the vocabulary", config.vocab_size, sample::MAX_VOCAB),
        ("hidden", config.hidden, rmsnorm::MAX_COLS),
        // MXFP4 groups make it a multiple of 32 anyway; 16-byte accesses rely on it.
        ("hidden beyond groups of 8", config.hidden % 8, 0),
    ] {
        if found > max {
            return Err(LoadError::Cuda(format!(
                "{name} is {found}, and the CUDA kernels take at most {max}: use --engine cpu (run, generate, infer, serve)"
            )));
        }
    }
    Ok(())
}

/// For both products of a step's experts, by shape alone: all layers have one. `moderate_scales`: all experts have them
/// (`CudaMatrices`); `from`: rows from which on the wgmma kernels take them.
pub(super) fn experts(
    d: &Device,
    c: &ModelConfig,
    reference: bool,
    moderate_scales: bool,
    (rows, from): (usize, u32),
) -> KernelVariant {
    let wgmma = d.uses(FastKernel::MoeWgmma)
        && moderate_scales
        && wgmma_takes(d, 2 * c.intermediate, c.hidden)
        && wgmma_takes(d, c.hidden, c.intermediate);
    let mma = d.uses(FastKernel::MoeMma);
    let many = rows >= from as usize;
    if reference {
        KernelVariant::Reference
    } else if wgmma && (many || !mma) {
        KernelVariant::Wgmma
    } else if mma {
        KernelVariant::Mma
    } else {
        KernelVariant::Reference
    }
}

/// Launches the experts' first product, by the kernel that the step was scheduled for.
pub(super) fn moe_gate_up(p: &GateUp<'_>) -> OpResult {
    match p.routing.variant {
        KernelVariant::Wgmma => moe_gate_up_wgmma::moe_gate_up_wgmma(p),
        KernelVariant::Mma if mma_takes(&p.w.up) => moe_gate_up_mma::moe_gate_up_mma(p),
        _ => moe_gate_up_reference::moe_gate_up_reference(p),
    }
}

/// Launches the experts' second product and the sum over a row's experts.
pub(super) fn moe_down(p: &Down<'_>, out: &CudaBuf) -> OpResult {
    match p.routing.variant {
        KernelVariant::Wgmma => moe_down_wgmma::moe_down_wgmma(p),
        KernelVariant::Mma if mma_takes(&p.w.down) => moe_down_mma::moe_down_mma(p),
        _ => moe_down_reference::moe_down_reference(p),
    }?;
    moe_down_reference::moe_combine(p, out)
}

/// Whether the router's product and what follows it are one kernel: where the product is the mma kernel's.
/// `from`: rows from which on it is not.
pub(super) fn router_takes(d: &Device, w: &CudaLinear, (rows, from): (usize, u32)) -> bool {
    d.uses(FastKernel::Router) && rows < from as usize && linear_mma::takes(w)
}

/// Launches a dense product; `from`: rows from which on the wgmma kernel takes it.
pub(super) fn linear(
    reference: bool,
    p: &Linear<'_>,
    from: usize,
    of_columns: &ColumnParts,
) -> OpResult {
    let d = p.device;
    let wgmma = d.uses(FastKernel::LinearWgmma) && linear_wgmma::takes(d, p.w);
    let mma = d.uses(FastKernel::LinearMma) && linear_mma::takes(p.w);
    if reference {
        linear_reference::linear_reference(p)
    } else if wgmma && (p.rows >= from || !mma) {
        linear_wgmma::linear_wgmma(p, of_columns)
    } else if mma {
        linear_mma::linear_mma(p)
    } else {
        linear_reference::linear_reference(p)
    }
}

/// Launches a draft head's guess.
pub(super) fn draft_argmax(reference: bool, p: &Argmax<'_>) -> OpResult {
    let l = &p.linear;
    let wgmma = l.device.uses(FastKernel::DraftArgmaxWgmma) && linear_wgmma::takes(l.device, l.w);
    let mma = l.device.uses(FastKernel::DraftArgmax) && linear_mma::takes(l.w);
    if reference {
        draft_argmax::draft_argmax_reference(p)
    } else if wgmma && (l.rows >= MIN_WGMMA_ROWS as usize || !mma) {
        draft_argmax_wgmma::draft_argmax_wgmma(p)
    } else if mma {
        draft_argmax::draft_argmax(p)
    } else {
        draft_argmax::draft_argmax_reference(p)
    }
}

/// Rotates queries and keys, and writes keys and values to the pool.
pub(super) fn rope_kv(reference: bool, c: &Context<'_>, qkv: &CudaBuf, layer: KvLayer) -> OpResult {
    if !reference && c.device.uses(FastKernel::RopeKv) && rope_kv::takes(c.config) {
        return rope_kv::rope_kv(c, qkv, layer);
    }
    rope::rope(c, qkv)?;
    kv_write::kv_write(c, qkv, layer)
}

/// New rows of a sequence from which on the tensor cores do its attention: a block's worth. Fewer would leave most of its
/// tile empty, and the decode kernel reads each key as often as there are rows. To be measured.
pub(super) const MIN_PREFILL_ROWS: usize = 16;

/// Launches attention: the sequences of a step may go to different kernels.
pub(super) fn attention(reference: bool, operands: &Operands<'_>, partials: &Memory) -> OpResult {
    let c = &operands.context;
    let decode = c.device.uses(FastKernel::AttentionDecode);
    if reference || !decode || !attention_decode::takes(c.config, c.pool) {
        return attention_reference::attention_reference(operands);
    }
    let prefill_from = match c.device.uses(FastKernel::AttentionPrefill) {
        true => MIN_PREFILL_ROWS,
        false => usize::MAX,
    };
    let (min, max) = c.step.rows_of_seqs;
    if max >= prefill_from {
        attention_prefill::attention_prefill(operands, prefill_from)?;
    }
    if min < prefill_from {
        attention_decode::attention_decode(operands, partials, prefill_from)?;
    }
    Ok(())
}
