//! What the model needs from a checkpoint, found under Hugging Face's or OpenAI's names.

use super::checkpoint::Checkpoint;
use super::tensor::{DenseTensor, PackedTensor};
use crate::config::ModelConfig;
use crate::load_error::LoadError;

/// A matrix `[out, in]` with an optional bias `[out]`, in parts that follow each other along `out`.
#[derive(Clone)]
pub struct LinearSource {
    /// The parts' rows, in order; all have the same number of columns.
    pub weight: Vec<DenseTensor>,
    /// One per part, or none at all.
    pub bias: Vec<DenseTensor>,
}

/// One layer's attention.
pub struct AttentionSources {
    /// Norm before attention, `[hidden]`.
    pub norm: DenseTensor,
    /// q, k and v rows in this order.
    pub qkv: LinearSource,
    /// One logit per query head, `[heads]`.
    pub sinks: DenseTensor,
    /// From all heads back to the residual stream.
    pub out: LinearSource,
}

/// One layer's experts. Rows of expert `e` are `e * out .. (e + 1) * out`.
#[derive(Clone)]
pub struct ExpertSources {
    /// `2 * intermediate` rows an expert: gate, up, gate, up, …
    pub up: PackedTensor,
    /// `[experts, 2 * intermediate]`
    pub up_bias: DenseTensor,
    /// `hidden` rows an expert.
    pub down: PackedTensor,
    /// `[experts, hidden]`
    pub down_bias: DenseTensor,
}

/// One layer.
pub struct LayerSources {
    /// Attention with its norm.
    pub attention: AttentionSources,
    /// Norm before the experts, `[hidden]`.
    pub norm: DenseTensor,
    /// Chooses the experts.
    pub router: LinearSource,
    /// The experts.
    pub experts: ExpertSources,
}

/// All tensors of the model.
pub struct ModelSources {
    /// `[vocab, hidden]`
    pub embedding: LinearSource,
    /// In order.
    pub layers: Vec<LayerSources>,
    /// Norm before the head, `[hidden]`.
    pub norm: DenseTensor,
    /// `[vocab, hidden]`
    pub lm_head: LinearSource,
}

impl ModelSources {
    /// Finds and checks every tensor.
    ///
    /// # Errors
    /// A tensor is missing, or its type or shape is not what the configuration asks for.
    pub fn find(ckpt: &Checkpoint, config: &ModelConfig) -> Result<Self, LoadError> {
        let f = Finder { ckpt, c: config };
        let original = ckpt.has("embedding.weight") && !ckpt.has("model.embed_tokens.weight");
        let layer = |i| {
            if original {
                f.original_layer(i)
            } else {
                f.hf_layer(i)
            }
        };
        let (embedding, norm, head) = if original {
            ("embedding.weight", "norm.scale", "unembedding.weight")
        } else {
            (
                "model.embed_tokens.weight",
                "model.norm.weight",
                "lm_head.weight",
            )
        };
        let vocab = [config.vocab_size, config.hidden];
        Ok(Self {
            embedding: LinearSource {
                weight: vec![ckpt.dense(embedding, &vocab)?],
                bias: Vec::new(),
            },
            layers: (0..config.layers.len())
                .map(layer)
                .collect::<Result<_, _>>()?,
            norm: ckpt.dense(norm, &[config.hidden])?,
            lm_head: LinearSource {
                weight: vec![ckpt.dense(head, &vocab)?],
                bias: Vec::new(),
            },
        })
    }
}

struct Finder<'a> {
    ckpt: &'a Checkpoint,
    c: &'a ModelConfig,
}

impl Finder<'_> {
    fn linear(&self, names: &[(String, usize)], cols: usize) -> Result<LinearSource, LoadError> {
        let weight =
            |(n, rows): &(String, usize)| self.ckpt.dense(&format!("{n}.weight"), &[*rows, cols]);
        let bias = |(n, rows): &(String, usize)| self.ckpt.dense(&format!("{n}.bias"), &[*rows]);
        Ok(LinearSource {
            weight: names.iter().map(weight).collect::<Result<_, _>>()?,
            bias: names.iter().map(bias).collect::<Result<_, _>>()?,
        })
    }

    fn experts(
        &self,
        [
            up_blocks,
            up_scales,
            up_bias,
            down_blocks,
            down_scales,
            down_bias,
        ]: [String; 6],
    ) -> Result<ExpertSources, LoadError> {
        let c = self.c;
        Ok(ExpertSources {
            up: self.ckpt.packed(
                &up_blocks,
                &up_scales,
                [c.experts, 2 * c.intermediate, c.hidden],
            )?,
            up_bias: self
                .ckpt
                .dense(&up_bias, &[c.experts, 2 * c.intermediate])?,
            down: self.ckpt.packed(
                &down_blocks,
                &down_scales,
                [c.experts, c.hidden, c.intermediate],
            )?,
            down_bias: self.ckpt.dense(&down_bias, &[c.experts, c.hidden])?,
        })
    }

    fn hf_layer(&self, i: usize) -> Result<LayerSources, LoadError> {
        let c = self.c;
        let at = |name: &str| format!("model.layers.{i}.{name}");
        let kv = c.kv_heads * c.head_dim;
        let qkv = [("q", c.q_dim()), ("k", kv), ("v", kv)]
            .map(|(n, rows)| (at(&format!("self_attn.{n}_proj")), rows));
        let experts = [
            "gate_up_proj_blocks",
            "gate_up_proj_scales",
            "gate_up_proj_bias",
            "down_proj_blocks",
            "down_proj_scales",
            "down_proj_bias",
        ];
        Ok(LayerSources {
            attention: AttentionSources {
                norm: self
                    .ckpt
                    .dense(&at("input_layernorm.weight"), &[c.hidden])?,
                qkv: self.linear(&qkv, c.hidden)?,
                sinks: self.ckpt.dense(&at("self_attn.sinks"), &[c.heads])?,
                out: self.linear(&[(at("self_attn.o_proj"), c.hidden)], c.q_dim())?,
            },
            norm: self
                .ckpt
                .dense(&at("post_attention_layernorm.weight"), &[c.hidden])?,
            router: self.linear(&[(at("mlp.router"), c.experts)], c.hidden)?,
            experts: self.experts(experts.map(|n| at(&format!("mlp.experts.{n}"))))?,
        })
    }

    fn original_layer(&self, i: usize) -> Result<LayerSources, LoadError> {
        let c = self.c;
        let at = |name: &str| format!("block.{i}.{name}");
        let experts = [
            "mlp1_weight.blocks",
            "mlp1_weight.scales",
            "mlp1_bias",
            "mlp2_weight.blocks",
            "mlp2_weight.scales",
            "mlp2_bias",
        ];
        Ok(LayerSources {
            attention: AttentionSources {
                norm: self.ckpt.dense(&at("attn.norm.scale"), &[c.hidden])?,
                qkv: self.linear(&[(at("attn.qkv"), c.qkv_dim())], c.hidden)?,
                sinks: self.ckpt.dense(&at("attn.sinks"), &[c.heads])?,
                out: self.linear(&[(at("attn.out"), c.hidden)], c.q_dim())?,
            },
            norm: self.ckpt.dense(&at("mlp.norm.scale"), &[c.hidden])?,
            router: self.linear(&[(at("mlp.gate"), c.experts)], c.hidden)?,
            experts: self.experts(experts.map(|n| at(&format!("mlp.{n}"))))?,
        })
    }
}
