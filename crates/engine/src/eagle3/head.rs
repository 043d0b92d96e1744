//! The head on a device: one Llama layer over pairs of a token and a hidden state.
//!
//! A pair at position P is the token at P + 1 with what the target knew at P; what the layer makes of it says which token
//! comes at P + 2. A pair of the target's own states replaces whatever the head had guessed there before.

use super::config::HeadConfig;
use super::sources::HeadSources;
use crate::batch::StepBatch;
use crate::config::LayerKind;
use crate::executor::{ExecError, SeqSlot};
use crate::load_error::LoadError;
use crate::model::Observer;
use crate::ops::{DraftOps, KvLayer, OpResult};
use ossmark_protocol::TokenId;

/// The head's only layer, and its place in the head's own pool.
const LAYER: KvLayer = KvLayer {
    kind: LayerKind::Full,
    index: 0,
};

/// Weights on a device, the buffers of a step, and a hidden state for each slot.
pub(crate) struct Head<O: DraftOps> {
    hidden: usize,
    boundaries: Vec<usize>,
    embedding: O::Linear,
    input_norm: Option<O::Vector>,
    fc: O::Linear,
    input_layernorm: O::Vector,
    hidden_norm: O::Vector,
    qkv: O::Linear,
    sinks: O::Vector,
    out: O::Linear,
    post_attention_layernorm: O::Vector,
    gate_up: O::Linear,
    down: O::Linear,
    norm: O::Vector,
    lm_head: O::Linear,
    tokens: Option<Vec<TokenId>>,
    scratch: Scratch<O>,
    /// The logits of all guesses, row after row.
    #[cfg(test)]
    pub(super) guessed: Vec<f32>,
}

struct Scratch<O: DraftOps> {
    /// The target's states as they come, one row for each of its step.
    seen: O::Buf,
    /// Those of the pairs.
    features: O::Buf,
    mixed: O::Buf,
    /// The residual stream: in, the pairs' states; out, what the next draft builds on.
    x: O::Buf,
    embedded: O::Buf,
    normed: O::Buf,
    both: O::Buf,
    qkv: O::Buf,
    attended: O::Buf,
    delta: O::Buf,
    gate_up: O::Buf,
    activated: O::Buf,
    /// Of each slot, behind its last token.
    states: O::Buf,
    last: O::Buf,
    logits: O::Buf,
}

impl<O: DraftOps> Head<O> {
    /// Takes the weights to the device, for steps of `max_rows` rows and `max_seqs` sequences.
    ///
    /// # Errors
    /// The device has no room.
    pub(crate) fn new(
        ops: &mut O,
        c: &HeadConfig,
        s: &HeadSources,
        max_rows: usize,
        max_seqs: usize,
    ) -> Result<Self, LoadError> {
        let features = c.boundaries.len() * c.hidden;
        let q_dim = c.heads * c.head_dim;
        let input_norm = s.input_norm.as_ref().map(|norm| ops.vector(norm));
        Ok(Self {
            hidden: c.hidden,
            boundaries: c.boundaries.clone(),
            embedding: ops.linear_weights(&s.embedding)?,
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
            lm_head: ops.linear_weights(&s.lm_head)?,
            tokens: s.tokens.clone(),
            scratch: Scratch {
                seen: ops.buf(max_rows, features)?,
                features: ops.buf(max_rows, features)?,
                mixed: ops.buf(max_rows, features)?,
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
                last: ops.buf(max_seqs, c.hidden)?,
                logits: ops.buf(max_seqs, c.draft_vocab_size)?,
            },
            #[cfg(test)]
            guessed: Vec::new(),
        })
    }

    /// Somebody to look at the target's pass, who takes its hidden states for [`Head::run_true`].
    pub(crate) fn observer(&mut self) -> impl Observer<O> + '_ {
        Features {
            hidden: self.hidden,
            boundaries: &self.boundaries,
            seen: &mut self.scratch.seen,
        }
    }

    /// Runs the pairs of `batch` (its tokens are those after its positions) with the target's states of these rows of its
    /// step.
    pub(crate) fn run_true(&mut self, ops: &mut O, batch: &StepBatch, rows: &[usize]) -> OpResult {
        let s = &mut self.scratch;
        let pairs: Vec<_> = rows.iter().copied().zip(0..).collect();
        ops.copy_rows(&s.seen, &pairs, &mut s.features, 0)?;
        if let Some(norm) = &self.input_norm {
            ops.rmsnorm(&s.features, norm, rows.len(), &mut s.mixed)?;
            ops.linear(&s.mixed, &self.fc, rows.len(), &mut s.x)?;
        } else {
            ops.linear(&s.features, &self.fc, rows.len(), &mut s.x)?;
        }
        self.run(ops, batch)
    }

    /// Runs the pairs of `batch`, each with the state that stands in the row of `last` with its number in `from`.
    pub(crate) fn run_own(&mut self, ops: &mut O, batch: &StepBatch, from: &[usize]) -> OpResult {
        let s = &mut self.scratch;
        let pairs: Vec<_> = from.iter().copied().zip(0..).collect();
        ops.copy_rows(&s.last, &pairs, &mut s.x, 0)?;
        self.run(ops, batch)
    }

    /// The layer, from `x` to `x`.
    fn run(&mut self, ops: &mut O, batch: &StepBatch) -> OpResult {
        let (s, rows) = (&mut self.scratch, batch.rows());
        let all: Vec<_> = (0..rows).map(|row| (row, row)).collect();
        ops.begin(batch)?;
        ops.embed(&self.embedding, &mut s.embedded)?;
        ops.rmsnorm(&s.embedded, &self.input_layernorm, rows, &mut s.normed)?;
        ops.copy_rows(&s.normed, &all, &mut s.both, 0)?;
        ops.rmsnorm(&s.x, &self.hidden_norm, rows, &mut s.normed)?;
        ops.copy_rows(&s.normed, &all, &mut s.both, self.hidden)?;
        ops.linear(&s.both, &self.qkv, rows, &mut s.qkv)?;
        ops.rope_kv(&mut s.qkv, LAYER)?;
        ops.attention(&s.qkv, LAYER, &self.sinks, &mut s.attended)?;
        ops.linear(&s.attended, &self.out, rows, &mut s.delta)?;
        let norm = &self.post_attention_layernorm;
        ops.add_rmsnorm(&mut s.x, &s.delta, norm, rows, &mut s.normed)?;
        ops.linear(&s.normed, &self.gate_up, rows, &mut s.gate_up)?;
        ops.silu_mul(&s.gate_up, rows, &mut s.activated)?;
        ops.linear(&s.activated, &self.down, rows, &mut s.delta)?;
        ops.add(&mut s.x, &s.delta)
    }

    /// Keeps the states of these rows of the last run for their slots.
    pub(crate) fn keep(&mut self, ops: &mut O, rows: &[(usize, SeqSlot)]) -> OpResult {
        let rows: Vec<_> = rows
            .iter()
            .map(|(row, slot)| (*row, *slot as usize))
            .collect();
        let s = &mut self.scratch;
        ops.copy_rows(&s.x, &rows, &mut s.states, 0)
    }

    /// What comes next by the states that were kept for these slots; they then stand in `last`.
    pub(crate) fn guess_kept(
        &mut self,
        ops: &mut O,
        slots: &[SeqSlot],
    ) -> Result<Vec<TokenId>, ExecError> {
        let s = &mut self.scratch;
        let rows: Vec<_> = slots.iter().map(|slot| *slot as usize).zip(0..).collect();
        ops.copy_rows(&s.states, &rows, &mut s.last, 0)?;
        self.guess(ops, slots.len())
    }

    /// What comes next by these rows of the last run; they then stand in `last`.
    pub(crate) fn guess_run(
        &mut self,
        ops: &mut O,
        rows: &[usize],
    ) -> Result<Vec<TokenId>, ExecError> {
        let s = &mut self.scratch;
        let pairs: Vec<_> = rows.iter().copied().zip(0..).collect();
        ops.copy_rows(&s.x, &pairs, &mut s.last, 0)?;
        self.guess(ops, rows.len())
    }

    fn guess(&mut self, ops: &mut O, rows: usize) -> Result<Vec<TokenId>, ExecError> {
        let s = &mut self.scratch;
        ops.rmsnorm(&s.last, &self.norm, rows, &mut s.normed)?;
        ops.linear(&s.normed, &self.lm_head, rows, &mut s.logits)?;
        #[cfg(test)]
        self.guessed.extend(ops.read(&s.logits, rows)?);
        let mut tokens = ops.argmax(&s.logits, rows)?;
        if let Some(of_target) = &self.tokens {
            for token in &mut tokens {
                // Out of range after logits that are not finite: it stays what it is.
                *token = of_target.get(*token as usize).copied().unwrap_or(*token);
            }
        }
        Ok(tokens)
    }
}

/// Takes the hidden states that a head asks for, side by side in the head's order.
struct Features<'a, O: DraftOps> {
    hidden: usize,
    boundaries: &'a [usize],
    seen: &'a mut O::Buf,
}

impl<O: DraftOps> Observer<O> for Features<'_, O> {
    fn boundary(&mut self, index: usize, ops: &mut O, x: &O::Buf, rows: usize) -> OpResult {
        let wanted = self
            .boundaries
            .iter()
            .zip(0..)
            .filter(|(b, _)| **b == index);
        let all: Vec<_> = (0..rows).map(|row| (row, row)).collect();
        for (_, place) in wanted {
            ops.copy_rows(x, &all, self.seen, place * self.hidden)?;
        }
        Ok(())
    }
}
