//! The head on a device: one Llama layer over pairs of a token and a hidden state.
//!
//! A pair at position P is the token at P + 1 with what the target knew at P; what the layer makes of it says which token
//! comes at P + 2. A pair of the target's own states replaces whatever the head had guessed there before.

use std::sync::Arc;

use super::config::HeadConfig;
use super::sources::HeadSources;
use crate::config::LayerKind;
use crate::load_error::LoadError;
use crate::model::{Model, Observer};
use crate::ops::{DraftOps, KvLayer, OpResult};
use crate::weights::LinearSource;

/// The head's only layer, and its place in the head's own pool.
pub(super) const LAYER: KvLayer = KvLayer {
    kind: LayerKind::Full,
    index: 0,
};

/// Weights on a device, the buffers of a step, and a hidden state for each slot.
pub(crate) struct Head<O: DraftOps> {
    pub(super) hidden: usize,
    pub(super) boundaries: Vec<usize>,
    pub(super) embedding: Arc<O::Linear>,
    pub(super) input_norm: Option<O::Vector>,
    pub(super) fc: O::Linear,
    pub(super) input_layernorm: O::Vector,
    pub(super) hidden_norm: O::Vector,
    pub(super) qkv: O::Linear,
    pub(super) sinks: O::Vector,
    pub(super) out: O::Linear,
    pub(super) post_attention_layernorm: O::Vector,
    pub(super) gate_up: O::Linear,
    pub(super) down: O::Linear,
    pub(super) norm: O::Vector,
    pub(super) lm_head: Arc<O::Linear>,
    pub(super) tokens: Option<O::TokenTable>,
    pub(super) scratch: Scratch<O>,
    #[cfg(test)]
    pub(super) seen: Guessed<O>,
}

pub(super) struct Scratch<O: DraftOps> {
    /// The target's states as they come, one row for each of its step.
    pub(super) seen: O::Buf,
    pub(super) mixed: O::Buf,
    /// The residual stream: in, the pairs' states; out, what the next draft builds on.
    pub(super) x: O::Buf,
    pub(super) embedded: O::Buf,
    pub(super) normed: O::Buf,
    pub(super) both: O::Buf,
    pub(super) qkv: O::Buf,
    pub(super) attended: O::Buf,
    pub(super) delta: O::Buf,
    pub(super) gate_up: O::Buf,
    pub(super) activated: O::Buf,
    /// Of each slot, behind its last token.
    pub(super) states: O::Buf,
    pub(super) guesses: O::Guesses,
}

/// The logits of all guesses, row after row.
#[cfg(test)]
pub(super) struct Guessed<O: DraftOps> {
    buf: O::Buf,
    pub(super) logits: Vec<f32>,
}

impl<O: DraftOps> Head<O> {
    /// Takes the weights to the device beside its model's, for steps of `max_rows` rows and `max_seqs` sequences.
    ///
    /// # Errors
    /// The device has no room.
    pub(crate) fn new(
        ops: &mut O,
        c: &HeadConfig,
        s: &HeadSources,
        model: &Model<O>,
        max_rows: usize,
        max_seqs: usize,
    ) -> Result<Self, LoadError> {
        let features = c.boundaries.len() * c.hidden;
        let q_dim = c.heads * c.head_dim;
        let input_norm = s.input_norm.as_ref().map(|norm| ops.vector(norm));
        let tokens = s.tokens.as_ref().map(|tokens| ops.token_table(tokens));
        Ok(Self {
            hidden: c.hidden,
            boundaries: c.boundaries.clone(),
            embedding: own(ops, s.embedding.as_ref(), model.embedding())?,
            input_norm: input_norm.transpose()?,
            fc: ops.linear_weights(&s.fc)?,
            input_layernorm: ops.vector(&s.input_layernorm)?,
            hidden_norm: ops.vector(&s.hidden_norm)?,
            qkv: ops.linear_weights(&s.qkv)?,
            sinks: ops.no_sinks(c.heads)?,
            out: ops.linear_weights(&s.out)?,
            post_attention_layernorm: ops.vector(&s.post_attention_layernorm)?,
            gate_up: ops.linear_weights(&s.gate_up)?,
            down: ops.linear_weights(&s.down)?,
            norm: ops.vector(&s.norm)?,
            lm_head: own(ops, s.lm_head.as_ref(), model.lm_head())?,
            tokens: tokens.transpose()?,
            scratch: Scratch {
                seen: ops.buf(max_rows, features)?,
                mixed: ops.buf(if c.norm_before_fc { max_rows } else { 0 }, features)?,
                x: ops.buf(max_rows, c.hidden)?,
                embedded: ops.buf(max_rows, c.hidden)?,
                normed: ops.buf(max_rows, c.hidden)?,
                both: ops.buf(max_rows, 2 * c.hidden)?,
                qkv: ops.buf(max_rows, q_dim + 2 * c.kv_heads * c.head_dim)?,
                attended: ops.buf(max_rows, q_dim)?,
                delta: ops.buf(max_rows, c.hidden)?,
                gate_up: ops.buf(max_rows, 2 * c.intermediate)?,
                activated: ops.buf(max_rows, c.intermediate)?,
                states: ops.buf(max_seqs, c.hidden)?,
                guesses: ops.guesses(max_seqs, c.draft_vocab_size)?,
            },
            #[cfg(test)]
            seen: Guessed {
                buf: ops.buf(max_rows, c.draft_vocab_size)?,
                logits: Vec::new(),
            },
        })
    }

    /// Somebody to look at the target's pass, who takes its hidden states for [`Head::learn`].
    pub(crate) fn observer(&mut self) -> impl Observer<O> + '_ {
        Features {
            hidden: self.hidden,
            boundaries: &self.boundaries,
            seen: &mut self.scratch.seen,
        }
    }

    /// Drafts `n` tokens for each of `seqs` sequences, by as many passes, from the states that are kept for their slots.
    pub(crate) fn draft(&mut self, ops: &mut O, seqs: usize, n: usize) -> OpResult {
        for number in 0..n {
            ops.enter_pass(number)?;
            if number == 0 {
                ops.gather_states(&self.scratch.states, &mut self.scratch.x)?;
            } else {
                self.run(ops, seqs)?;
            }
            let s = &mut self.scratch;
            ops.rmsnorm(&s.x, &self.norm, seqs, &mut s.normed)?;
            let table = self.tokens.as_ref();
            ops.draft(&s.normed, &self.lm_head, table, number, &mut s.guesses)?;
            #[cfg(test)]
            self.look(ops, seqs)?;
        }
        Ok(())
    }

    /// Runs pass `number`, of all `rows` rows of the target's step, with the target's own states, and keeps what stands.
    pub(crate) fn learn(&mut self, ops: &mut O, number: usize, rows: usize) -> OpResult {
        ops.enter_pass(number)?;
        let s = &mut self.scratch;
        if let Some(norm) = &self.input_norm {
            ops.rmsnorm(&s.seen, norm, rows, &mut s.mixed)?;
            ops.linear(&s.mixed, &self.fc, rows, &mut s.x)?;
        } else {
            ops.linear(&s.seen, &self.fc, rows, &mut s.x)?;
        }
        self.run(ops, rows)?;
        let s = &mut self.scratch;
        ops.accept(&s.x, &mut s.states)
    }

    /// The layer, from `x` to `x`.
    fn run(&mut self, ops: &mut O, rows: usize) -> OpResult {
        let s = &mut self.scratch;
        ops.embed(&self.embedding, &mut s.embedded)?;
        ops.rmsnorm(&s.embedded, &self.input_layernorm, rows, &mut s.normed)?;
        ops.copy_columns(&s.normed, &mut s.both, 0)?;
        ops.rmsnorm(&s.x, &self.hidden_norm, rows, &mut s.normed)?;
        ops.copy_columns(&s.normed, &mut s.both, self.hidden)?;
        ops.linear(&s.both, &self.qkv, rows, &mut s.qkv)?;
        ops.rope_kv(&mut s.qkv, LAYER)?;
        ops.attention(&s.qkv, LAYER, &self.sinks, &mut s.attended)?;
        ops.linear(&s.attended, &self.out, rows, &mut s.delta)?;
        let norm = &self.post_attention_layernorm;
        ops.add_rmsnorm(&mut s.x, &s.delta, norm, rows, &mut s.normed)?;
        ops.linear(&s.normed, &self.gate_up, rows, &mut s.gate_up)?;
        ops.silu_mul(&s.gate_up, &mut s.activated)?;
        ops.linear(&s.activated, &self.down, rows, &mut s.delta)?;
        ops.add(&mut s.x, &s.delta)
    }

    /// Takes note of the logits of the first rows of the last pass.
    #[cfg(test)]
    pub(super) fn look(&mut self, ops: &mut O, rows: usize) -> OpResult {
        let (s, seen) = (&mut self.scratch, &mut self.seen);
        ops.rmsnorm(&s.x, &self.norm, rows, &mut s.normed)?;
        ops.linear(&s.normed, &self.lm_head, rows, &mut seen.buf)?;
        seen.logits.extend(ops.read(&seen.buf, rows)?);
        Ok(())
    }
}

/// The head's own matrix, or the model's.
fn own<O: DraftOps>(
    ops: &mut O,
    source: Option<&LinearSource>,
    of_model: &Arc<O::Linear>,
) -> Result<Arc<O::Linear>, LoadError> {
    match source {
        Some(source) => Ok(Arc::new(ops.linear_weights(source)?)),
        None => Ok(Arc::clone(of_model)),
    }
}

/// Takes the hidden states that a head asks for, side by side in the head's order.
struct Features<'a, O: DraftOps> {
    hidden: usize,
    boundaries: &'a [usize],
    seen: &'a mut O::Buf,
}

impl<O: DraftOps> Observer<O> for Features<'_, O> {
    fn boundary(&mut self, index: usize, ops: &mut O, x: &O::Buf, _rows: usize) -> OpResult {
        let wanted = self
            .boundaries
            .iter()
            .zip(0..)
            .filter(|(b, _)| **b == index);
        for (_, place) in wanted {
            ops.copy_columns(x, self.seen, place * self.hidden)?;
        }
        Ok(())
    }
}
