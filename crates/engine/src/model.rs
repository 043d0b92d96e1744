//! The gpt-oss forward pass, written once over [`Ops`]. Owns weights and scratch; knows no device and no scheduler.

use crate::batch::StepBatch;
use crate::config::{LayerKind, ModelConfig};
use crate::executor::ExecError;
use crate::load_error::LoadError;
use crate::ops::{KvLayer, Ops};
use crate::weights::ModelSources;

struct Layer<O: Ops> {
    kv: KvLayer,
    attention_norm: O::Vector,
    qkv: O::Linear,
    sinks: O::Vector,
    out: O::Linear,
    mlp_norm: O::Vector,
    router: O::Linear,
    experts: O::Experts,
}

struct Scratch<O: Ops> {
    x: O::Buf,
    normed: O::Buf,
    qkv: O::Buf,
    attended: O::Buf,
    delta: O::Buf,
    router_logits: O::Buf,
    routing: O::Routing,
    head_in: O::Buf,
    head_normed: O::Buf,
    logits: O::Buf,
}

/// Weights on a device, and the buffers of a step.
pub struct Model<O: Ops> {
    embedding: O::Linear,
    layers: Vec<Layer<O>>,
    norm: O::Vector,
    head: O::Linear,
    scratch: Scratch<O>,
    max_heads: usize,
}

impl<O: Ops> Model<O> {
    /// Takes the weights to the device, and plans the buffers for steps of `max_rows` rows, `max_heads` of them with
    /// logits at a time.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(
        ops: &mut O,
        config: &ModelConfig,
        sources: &ModelSources,
        max_rows: usize,
        max_heads: usize,
    ) -> Result<Self, LoadError> {
        let (mut full, mut window) = (0, 0);
        let layers = config.layers.iter().zip(&sources.layers).map(|(kind, s)| {
            let count = match kind {
                LayerKind::Full => &mut full,
                LayerKind::Window => &mut window,
            };
            let kv = KvLayer {
                kind: *kind,
                index: *count,
            };
            *count += 1;
            Ok(Layer {
                kv,
                attention_norm: ops.vector(&s.attention.norm)?,
                qkv: ops.linear_weights(&s.attention.qkv)?,
                sinks: ops.vector(&s.attention.sinks)?,
                out: ops.linear_weights(&s.attention.out)?,
                mlp_norm: ops.vector(&s.norm)?,
                router: ops.linear_weights(&s.router)?,
                experts: ops.expert_weights(&s.experts)?,
            })
        });
        let layers = layers.collect::<Result<_, LoadError>>()?;
        let scratch = Scratch {
            x: ops.buf(max_rows, config.hidden)?,
            normed: ops.buf(max_rows, config.hidden)?,
            qkv: ops.buf(max_rows, config.qkv_dim())?,
            attended: ops.buf(max_rows, config.q_dim())?,
            delta: ops.buf(max_rows, config.hidden)?,
            router_logits: ops.buf(max_rows, config.experts)?,
            routing: ops.routing(max_rows)?,
            head_in: ops.buf(max_heads, config.hidden)?,
            head_normed: ops.buf(max_heads, config.hidden)?,
            logits: ops.buf(max_heads, config.vocab_size)?,
        };
        Ok(Self {
            embedding: ops.linear_weights(&sources.embedding)?,
            layers,
            norm: ops.vector(&sources.norm)?,
            head: ops.linear_weights(&sources.head)?,
            scratch,
            max_heads,
        })
    }

    /// Runs a step that [`Ops::begin`] was given, down to sampled tokens. `on_logits` gets f32 rows of the heads that
    /// want their logits, with the head's index.
    ///
    /// # Errors
    /// The device is lost.
    pub fn forward(
        &mut self,
        ops: &mut O,
        batch: &StepBatch,
        mut on_logits: impl FnMut(usize, &[f32]),
    ) -> Result<(), ExecError> {
        let (s, rows) = (&mut self.scratch, batch.rows());
        ops.embed(&self.embedding, &mut s.x)?;
        for (i, l) in self.layers.iter().enumerate() {
            if i == 0 {
                ops.rmsnorm(&s.x, &l.attention_norm, rows, &mut s.normed)?;
            } else {
                ops.add_rmsnorm(&mut s.x, &s.delta, &l.attention_norm, rows, &mut s.normed)?;
            }
            ops.qkv(&s.normed, &l.qkv, l.kv, rows, &mut s.qkv)?;
            ops.attention(&s.qkv, l.kv, &l.sinks, &mut s.attended)?;
            ops.linear(&s.attended, &l.out, rows, &mut s.delta)?;
            ops.add_rmsnorm(&mut s.x, &s.delta, &l.mlp_norm, rows, &mut s.normed)?;
            ops.moe(
                &s.normed,
                &l.router,
                &l.experts,
                rows,
                &mut s.router_logits,
                &mut s.routing,
                &mut s.delta,
            )?;
        }
        if !batch.heads.is_empty() {
            ops.add(&mut s.x, &s.delta)?;
        }
        // One round unless somebody wants logits of whole prompts.
        for first in (0..batch.heads.len()).step_by(self.max_heads) {
            let heads = first..batch.heads.len().min(first + self.max_heads);
            ops.gather_rows(&s.x, heads.clone(), &mut s.head_in)?;
            ops.rmsnorm(&s.head_in, &self.norm, heads.len(), &mut s.head_normed)?;
            ops.linear(&s.head_normed, &self.head, heads.len(), &mut s.logits)?;
            ops.sample(&s.logits, heads.clone())?;
            if batch.heads[heads.clone()].iter().any(|h| h.logits) {
                let rows = ops.read(&s.logits, heads.len())?;
                for (head, row) in heads
                    .clone()
                    .zip(rows.chunks_exact(rows.len() / heads.len()))
                {
                    if batch.heads[head].logits {
                        on_logits(head, row);
                    }
                }
            }
        }
        Ok(())
    }
}
