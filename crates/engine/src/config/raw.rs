//! `config.json` as it is spelled, and its checks.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{LayerKind, ModelConfig};
use crate::load_error::LoadError;
use crate::rope::Yarn;
use ossmark_protocol::TokenId;

/// A configuration is a few kilobytes; whatever is larger is something else.
const MAX_JSON_BYTES: u64 = 16 << 20;
/// 120b has 36.
const MAX_LAYERS: u64 = 1024;
/// Bounds every width; 120b's largest is the vocabulary of 201,088. Products of three of them fit 64 bits.
const MAX_WIDTH: u64 = 1 << 20;
/// 120b's context is 131,072.
const MAX_CONTEXT: u64 = 1 << 24;

#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Eos {
    One(TokenId),
    Many(Vec<TokenId>),
}

#[derive(Deserialize)]
pub(super) struct Generation {
    pub(super) eos_token_id: Option<Eos>,
}

#[derive(Deserialize)]
pub(super) struct Raw {
    pub(super) eos_token_id: Option<Eos>,
    architectures: Option<Vec<String>>,
    model_type: Option<String>,
    vocab_size: u64,
    hidden_size: u64,
    intermediate_size: u64,
    num_hidden_layers: u64,
    num_local_experts: Option<u64>,
    num_experts: Option<u64>,
    num_experts_per_tok: Option<u64>,
    experts_per_token: Option<u64>,
    num_attention_heads: u64,
    num_key_value_heads: u64,
    head_dim: u64,
    sliding_window: Option<u64>,
    layer_types: Option<Vec<String>>,
    rms_norm_eps: Option<f64>,
    swiglu_limit: Option<f64>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    quantization_config: Option<Quantization>,
    max_position_embeddings: Option<u64>,
    initial_context_length: Option<u64>,
    rope_theta: Option<f64>,
    rope_scaling: Option<RopeScaling>,
    rope_parameters: Option<RopeScaling>,
    rope_scaling_factor: Option<f64>,
    rope_ntk_alpha: Option<f64>,
    rope_ntk_beta: Option<f64>,
}

#[derive(Deserialize)]
struct Quantization {
    quant_method: Option<String>,
}

#[derive(Deserialize)]
struct RopeScaling {
    rope_type: Option<String>,
    /// The older spelling; files in the wild hold both.
    r#type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    truncate: Option<bool>,
    attention_factor: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
}

pub(super) fn parse<T: DeserializeOwned>(path: &Path) -> Result<T, LoadError> {
    let read = |source| LoadError::Read {
        path: path.into(),
        source,
    };
    let len = std::fs::metadata(path).map_err(read)?.len();
    if len > MAX_JSON_BYTES {
        let what = format!("is {len} bytes, expected a configuration of at most {MAX_JSON_BYTES}");
        return Err(LoadError::Damaged {
            path: path.into(),
            what,
        });
    }
    let text = ossmark_files::read(path).map_err(read)?;
    serde_json::from_slice(ossmark_files::without_mark(&text)).map_err(|e| LoadError::Damaged {
        path: path.into(),
        what: format!("not a gpt-oss configuration: {e}"),
    })
}

pub(super) fn check(path: &Path, raw: &Raw) -> Result<ModelConfig, LoadError> {
    let c = Check { path };
    if let Some(names) = &raw.architectures {
        c.that(
            names.iter().any(|n| n == "GptOssForCausalLM"),
            "architectures",
            format!("{names:?}"),
            "[\"GptOssForCausalLM\"]",
        )?;
    }
    let kind = raw.model_type.as_deref().unwrap_or("gpt_oss");
    c.that(kind == "gpt_oss", "model_type", kind, "gpt_oss")?;
    let act = raw.hidden_act.as_deref().unwrap_or("silu");
    c.that(
        act == "silu",
        "hidden_act",
        act,
        "silu (gpt-oss's clamped SwiGLU)",
    )?;
    c.that(
        raw.attention_bias != Some(false),
        "attention_bias",
        false,
        "true: q, k, v and o have biases",
    )?;
    c.that(
        raw.tie_word_embeddings != Some(true),
        "tie_word_embeddings",
        true,
        "false: lm_head has its own tensor",
    )?;
    if let Some(q) = &raw.quantization_config {
        let method = q.quant_method.as_deref().unwrap_or("absent");
        c.that(
            method == "mxfp4",
            "quantization_config.quant_method",
            method,
            "mxfp4",
        )?;
    }

    let hidden = c.width("hidden_size", raw.hidden_size)?;
    let intermediate = c.width("intermediate_size", raw.intermediate_size)?;
    c.that(
        hidden % 32 == 0,
        "hidden_size",
        hidden,
        "a multiple of 32, the MXFP4 block",
    )?;
    c.that(
        intermediate % 32 == 0,
        "intermediate_size",
        intermediate,
        "a multiple of 32, the MXFP4 block",
    )?;
    let experts = c.width(
        "num_local_experts",
        raw.num_local_experts.or(raw.num_experts).unwrap_or(0),
    )?;
    let top_k = c.whole(
        "num_experts_per_tok",
        raw.num_experts_per_tok
            .or(raw.experts_per_token)
            .unwrap_or(4),
        64,
    )?;
    c.that(
        top_k <= experts,
        "num_experts_per_tok",
        top_k,
        format!("at most num_local_experts, {experts}"),
    )?;
    let heads = c.whole("num_attention_heads", raw.num_attention_heads, 4096)?;
    let kv_heads = c.whole("num_key_value_heads", raw.num_key_value_heads, 4096)?;
    c.that(
        heads % kv_heads == 0,
        "num_key_value_heads",
        kv_heads,
        format!("a divisor of num_attention_heads, {heads}"),
    )?;
    let head_dim = c.whole("head_dim", raw.head_dim, 1024)?;
    c.that(
        head_dim % 2 == 0,
        "head_dim",
        head_dim,
        "an even number: rotary embedding turns pairs",
    )?;

    let layers = c.layers(raw)?;
    let window = if layers.contains(&LayerKind::Window) {
        let window = raw.sliding_window.unwrap_or(0);
        Some(c.whole("sliding_window", window, MAX_CONTEXT)?)
    } else {
        None
    };
    let (rope_theta, yarn) = c.rope(raw)?;
    let max_context = match (raw.max_position_embeddings, &yarn) {
        (Some(n), _) => c.whole("max_position_embeddings", n, MAX_CONTEXT)?,
        (None, Some(y)) => {
            let n = y.original_context * y.factor;
            c.whole(
                "initial_context_length * rope_scaling_factor",
                n as u64,
                MAX_CONTEXT,
            )?
        }
        (None, None) => c.whole(
            "initial_context_length",
            raw.initial_context_length.unwrap_or(0),
            MAX_CONTEXT,
        )?,
    };
    Ok(ModelConfig {
        vocab_size: c.width("vocab_size", raw.vocab_size)?,
        hidden,
        intermediate,
        layers,
        experts,
        top_k,
        heads,
        kv_heads,
        head_dim,
        window,
        norm_eps: c.real("rms_norm_eps", raw.rms_norm_eps.unwrap_or(1e-5), 1e-12, 1.0)? as f32,
        swiglu_limit: c.real("swiglu_limit", raw.swiglu_limit.unwrap_or(7.0), 1e-3, 1e6)? as f32,
        rope_theta,
        yarn,
        max_context,
        stop_tokens: Vec::new(),
    })
}

struct Check<'a> {
    path: &'a Path,
}

impl Check<'_> {
    fn that(
        &self,
        ok: bool,
        field: &'static str,
        found: impl ToString,
        expected: impl Into<String>,
    ) -> Result<(), LoadError> {
        if ok {
            return Ok(());
        }
        Err(LoadError::Unsupported {
            path: self.path.into(),
            field: field.into(),
            found: found.to_string(),
            expected: expected.into(),
        })
    }

    fn whole(&self, field: &'static str, n: u64, max: u64) -> Result<usize, LoadError> {
        self.that((1..=max).contains(&n), field, n, format!("1 to {max}"))?;
        Ok(n as usize)
    }

    fn width(&self, field: &'static str, n: u64) -> Result<usize, LoadError> {
        self.whole(field, n, MAX_WIDTH)
    }

    fn real(&self, field: &'static str, x: f64, min: f64, max: f64) -> Result<f64, LoadError> {
        self.that(
            (min..=max).contains(&x),
            field,
            x,
            format!("{min} to {max}"),
        )?;
        Ok(x)
    }

    fn layers(&self, raw: &Raw) -> Result<Vec<LayerKind>, LoadError> {
        let n = self.whole("num_hidden_layers", raw.num_hidden_layers, MAX_LAYERS)?;
        let Some(names) = &raw.layer_types else {
            // OpenAI's own configuration has no list: even layers slide (gpt_oss/torch/model.py).
            return Ok((0..n)
                .map(|i| {
                    if i % 2 == 0 {
                        LayerKind::Window
                    } else {
                        LayerKind::Full
                    }
                })
                .collect());
        };
        self.that(
            names.len() == n,
            "layer_types",
            format!("{} entries", names.len()),
            format!("num_hidden_layers, {n}"),
        )?;
        names
            .iter()
            .map(|name| match name.as_str() {
                "full_attention" => Ok(LayerKind::Full),
                "sliding_attention" => Ok(LayerKind::Window),
                other => {
                    self.that(
                        false,
                        "layer_types",
                        other,
                        "full_attention or sliding_attention",
                    )?;
                    unreachable!("a failed check is an error")
                }
            })
            .collect()
    }

    fn rope(&self, raw: &Raw) -> Result<(f64, Option<Yarn>), LoadError> {
        let scaling = raw.rope_scaling.as_ref().or(raw.rope_parameters.as_ref());
        let theta = raw
            .rope_theta
            .or(raw.rope_parameters.as_ref().and_then(|p| p.rope_theta))
            .or(scaling.and_then(|s| s.rope_theta))
            .unwrap_or(150_000.0);
        let theta = self.real("rope_theta", theta, 2.0, 1e12)?;
        let yarn = match scaling {
            Some(s) => match s
                .rope_type
                .as_deref()
                .or(s.r#type.as_deref())
                .unwrap_or("absent")
            {
                "default" => None,
                "yarn" => {
                    self.that(
                        s.mscale.is_none() && s.mscale_all_dim.is_none(),
                        "rope_scaling.mscale",
                        "set",
                        "no mscale: gpt-oss has none",
                    )?;
                    Some(Yarn {
                        factor: s.factor.unwrap_or(1.0),
                        beta_fast: s.beta_fast.unwrap_or(32.0),
                        beta_slow: s.beta_slow.unwrap_or(1.0),
                        original_context: s
                            .original_max_position_embeddings
                            .or(raw.initial_context_length.map(|n| n as f64))
                            .unwrap_or(4096.0),
                        // Hugging Face's default; gpt-oss's configurations say false.
                        truncate: s.truncate.unwrap_or(true),
                        attention_factor: s.attention_factor,
                    })
                }
                other => {
                    self.that(false, "rope_scaling.rope_type", other, "yarn or default")?;
                    None
                }
            },
            None => raw.rope_scaling_factor.map(|factor| Yarn {
                factor,
                beta_fast: raw.rope_ntk_beta.unwrap_or(32.0),
                beta_slow: raw.rope_ntk_alpha.unwrap_or(1.0),
                original_context: raw.initial_context_length.unwrap_or(4096) as f64,
                truncate: false,
                attention_factor: None,
            }),
        };
        if let Some(y) = &yarn {
            self.real("rope scaling factor", y.factor, 1.0, 1e6)?;
            self.real("rope beta_fast", y.beta_fast, 1e-6, 1e6)?;
            self.real("rope beta_slow", y.beta_slow, 1e-6, 1e6)?;
            self.real(
                "original_max_position_embeddings",
                y.original_context,
                1.0,
                MAX_CONTEXT as f64,
            )?;
            self.real(
                "rope_scaling.attention_factor",
                y.attention_factor.unwrap_or(1.0),
                1e-3,
                1e3,
            )?;
        }
        Ok((theta, yarn))
    }
}
