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
            ops.linear(&s.normed, &l.qkv, rows, &mut s.qkv)?;
            ops.rope_kv(&mut s.qkv, l.kv)?;
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

    /// Runs the first `layers` layers and the head of a step that [`Ops::begin`] was given, the operations for which a
    /// device may have several kernels in both ways: `plain(ops, false)` chooses the best, `plain(ops, true)` the plain ones.
    /// Each gets the same inputs both times, so that differences do not add up. `found` gets the operation and both
    /// results. The step's `heads` are at most those of one round.
    ///
    /// # Errors
    /// The device is lost.
    pub(crate) fn compare(
        &mut self,
        ops: &mut O,
        batch: &StepBatch,
        layers: usize,
        plain: fn(&mut O, bool),
        mut found: impl FnMut(&'static str, &[f32], &[f32]),
    ) -> Result<(), ExecError> {
        macro_rules! both {
            ($name:literal, $rows:expr, $into:expr, $work:expr) => {
                // First the best, and nothing right there before.
                let n = ops.read(&$into, $rows)?.len();
                ops.write(&mut $into, &vec![f32::NAN; n])?;
                plain(ops, false);
                $work?;
                let best = ops.read(&$into, $rows)?;
                plain(ops, true);
                $work?;
                found($name, &best, &ops.read(&$into, $rows)?);
            };
        }
        let (s, rows) = (&mut self.scratch, batch.rows());
        ops.embed(&self.embedding, &mut s.x)?;
        for l in self.layers.iter().take(layers) {
            ops.rmsnorm(&s.x, &l.attention_norm, rows, &mut s.normed)?;
            both!(
                "the product for queries, keys and values",
                rows,
                s.qkv,
                ops.linear(&s.normed, &l.qkv, rows, &mut s.qkv)
            );
            // In place, and to the pool: seen through attention.
            let mut through = |ops: &mut O, slow| {
                plain(ops, true);
                ops.linear(&s.normed, &l.qkv, rows, &mut s.qkv)?;
                plain(ops, slow);
                ops.rope_kv(&mut s.qkv, l.kv)?;
                plain(ops, true);
                ops.attention(&s.qkv, l.kv, &l.sinks, &mut s.attended)?;
                ops.read(&s.attended, rows)
            };
            let best = through(ops, false)?;
            found("the rotation and the pool", &best, &through(ops, true)?);
            both!(
                "attention",
                rows,
                s.attended,
                ops.attention(&s.qkv, l.kv, &l.sinks, &mut s.attended)
            );
            both!(
                "attention's last product",
                rows,
                s.delta,
                ops.linear(&s.attended, &l.out, rows, &mut s.delta)
            );
            ops.add_rmsnorm(&mut s.x, &s.delta, &l.mlp_norm, rows, &mut s.normed)?;
            both!(
                "the router",
                rows,
                s.router_logits,
                ops.router(
                    &s.normed,
                    &l.router,
                    rows,
                    &mut s.router_logits,
                    &mut s.routing
                )
            );
            both!("the experts", rows, s.delta, {
                ops.route(&s.router_logits, &mut s.routing)
                    .and_then(|()| ops.experts_up(&s.normed, &l.experts, &mut s.routing))
                    .and_then(|()| ops.experts_down(&mut s.routing, &l.experts, &mut s.delta))
            });
            // The router's choice, of the same logits: seen through the experts.
            plain(ops, false);
            ops.router(
                &s.normed,
                &l.router,
                rows,
                &mut s.router_logits,
                &mut s.routing,
            )?;
            let mut chosen = |ops: &mut O, again| {
                plain(ops, true);
                if again {
                    ops.route(&s.router_logits, &mut s.routing)?;
                }
                ops.experts_up(&s.normed, &l.experts, &mut s.routing)?;
                ops.experts_down(&mut s.routing, &l.experts, &mut s.delta)?;
                ops.read(&s.delta, rows)
            };
            let best = chosen(ops, false)?;
            found("the choice of experts", &best, &chosen(ops, true)?);
            ops.add(&mut s.x, &s.delta)?;
        }
        let heads = batch.heads.len().min(self.max_heads);
        ops.gather_rows(&s.x, 0..heads, &mut s.head_in)?;
        ops.rmsnorm(&s.head_in, &self.norm, heads, &mut s.head_normed)?;
        both!(
            "the head",
            heads,
            s.logits,
            ops.linear(&s.head_normed, &self.head, heads, &mut s.logits)
        );
        plain(ops, false);
        Ok(())
    }
}
