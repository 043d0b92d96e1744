//! A head of random weights for a target, in the proportions of nvidia/gpt-oss-120b-Eagle3-long-context.

use super::SyntheticHead;
use super::config::HeadConfig;
use super::sources::HeadSources;
use crate::config::ModelConfig;
use crate::load_error::LoadError;
use crate::rope::{Llama3, Rope};
use crate::weights::{Maker, Placement};

impl HeadConfig {
    /// The target's widths and heads, an MLP of six times its width, hidden states of three layers, the whole vocabulary.
    pub(super) fn synthetic(target: &ModelConfig) -> Self {
        let layers = target.layers.len();
        let llama3 = Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192.0,
        };
        Self {
            hidden: target.hidden,
            intermediate: 6 * target.hidden,
            heads: target.heads,
            kv_heads: target.kv_heads,
            head_dim: target.head_dim,
            norm_eps: 1e-5,
            rope: Rope::llama3(target.head_dim, 500_000.0, &llama3),
            // Of 36 layers: what blocks 1, 17 and 32 put out.
            boundaries: match layers {
                0..6 => vec![1, layers.div_ceil(2), layers],
                _ => vec![2, layers / 2, layers - 3],
            },
            norm_before_fc: false,
            vocab_size: target.vocab_size,
            draft_vocab_size: target.vocab_size,
        }
    }
}

impl HeadSources {
    /// Random weights; embedding and lm_head are the target's.
    ///
    /// # Errors
    /// The system gives no memory.
    pub(super) fn synthetic(
        which: &SyntheticHead,
        c: &HeadConfig,
        made: Placement,
    ) -> Result<Self, LoadError> {
        // Other numbers than a target's of the same seed.
        let mut m = Maker::new(!which.seed, made)?;
        let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        Ok(Self {
            embedding: None,
            input_norm: None,
            fc: m.linear(c.hidden, c.boundaries.len() * c.hidden, None)?,
            input_layernorm: m.norm(c.hidden)?,
            hidden_norm: m.norm(c.hidden)?,
            qkv: m.linear(q + 2 * kv, 2 * c.hidden, None)?,
            out: m.linear(c.hidden, q, None)?,
            post_attention_layernorm: m.norm(c.hidden)?,
            gate_up: m.linear(2 * c.intermediate, c.hidden, None)?,
            down: m.linear(c.hidden, c.intermediate, None)?,
            norm: m.norm(c.hidden)?,
            lm_head: None,
            tokens: None,
        })
    }
}

/// Bytes of such a head's own matrices.
pub(crate) fn synthetic_head_bytes(target: &ModelConfig) -> u64 {
    let c = HeadConfig::synthetic(target);
    let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
    let row = c.boundaries.len() * c.hidden + q + 2 * (q + 2 * kv) + 3 * c.intermediate;
    2 * (c.hidden * row) as u64
}

#[cfg(test)]
mod tests {
    #[test]
    fn as_large_as_the_head_for_gpt_oss_120b() {
        // 215,470,080 numbers in bf16, by an audit of the published one.
        let bytes = super::synthetic_head_bytes(&crate::weights::gpt_oss_120b());
        assert_eq!(bytes, 2 * 215_470_080);
    }
}
