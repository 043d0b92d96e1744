//! The gpt-oss forward pass, written once over [`Ops`]. Owns weights and scratch; knows no device and no scheduler.

mod compare;
mod perturb;

use std::ops::Range;
use std::sync::Arc;

use crate::batch::StepBatch;
use crate::config::{LayerKind, ModelConfig};
use crate::executor::ExecError;
use crate::load_error::LoadError;
use crate::ops::{KvLayer, OpResult, Ops};
use crate::weights::ModelSources;

pub(crate) use perturb::Probing;
pub use perturb::{Change, Probe, Work};

pub(crate) struct Layer<O: Ops> {
    kv: KvLayer,
    attention_norm: O::Vector,
    qkv: O::Linear,
    sinks: O::Vector,
    out: O::Linear,
    mlp_norm: O::Vector,
    router: O::Linear,
    experts: O::Experts,
}

pub(crate) struct Scratch<O: Ops> {
    x: O::Buf,
    normed: O::Buf,
    qkv: O::Buf,
    attended: O::Buf,
    delta: O::Buf,
    router_logits: O::Buf,
    routing: O::Routing,
    lm_head_in: O::Buf,
    lm_head_normed: O::Buf,
    logits: O::Buf,
}

/// An operation of the pass for which a device may have several kernels, with its weights.
pub(crate) enum Op<'a, O: Ops> {
    Qkv(&'a Layer<O>),
    RopeKv(&'a Layer<O>),
    Attention(&'a Layer<O>),
    AttentionOut(&'a Layer<O>),
    Router(&'a Layer<O>),
    Experts(&'a Layer<O>),
    LmHead(&'a O::Linear),
}

impl<O: Ops> Op<'_, O> {
    /// Launches it for the step's rows, or for the head's.
    pub(crate) fn run(&self, ops: &mut O, s: &mut Scratch<O>, rows: usize) -> OpResult {
        match self {
            Self::Qkv(l) => ops.linear(&s.normed, &l.qkv, rows, &mut s.qkv),
            Self::RopeKv(l) => ops.rope_kv(&mut s.qkv, l.kv),
            Self::Attention(l) => ops.attention(&s.qkv, l.kv, &l.sinks, &mut s.attended),
            Self::AttentionOut(l) => ops.linear(&s.attended, &l.out, rows, &mut s.delta),
            Self::Router(l) => ops.router(
                &s.normed,
                &l.router,
                rows,
                &mut s.router_logits,
                &mut s.routing,
            ),
            Self::Experts(l) => {
                ops.moe_gate_up(&s.normed, &l.experts, &mut s.routing)?;
                ops.moe_down(&mut s.routing, &l.experts, &mut s.delta)
            }
            Self::LmHead(w) => ops.linear(&s.lm_head_normed, w, rows, &mut s.logits),
        }
    }
}

/// Sees each [`Op`] of a pass, and runs it: once, unless it wants to know more.
pub(crate) trait Observer<O: Ops> {
    /// The residual stream before any norm: what layer `index` takes in, and at the end what the last one puts out.
    fn boundary(&mut self, _index: usize, _ops: &mut O, _x: &O::Buf, _rows: usize) -> OpResult {
        Ok(())
    }

    fn op(&mut self, op: &Op<'_, O>, ops: &mut O, s: &mut Scratch<O>, rows: usize) -> OpResult {
        op.run(ops, s, rows)
    }
}

/// Nobody looks.
pub(crate) struct Unobserved;

impl<O: Ops> Observer<O> for Unobserved {}

/// Weights on a device, and the buffers of a step.
pub struct Model<O: Ops> {
    embedding: Arc<O::Linear>,
    layers: Vec<Layer<O>>,
    norm: O::Vector,
    lm_head: Arc<O::Linear>,
    scratch: Scratch<O>,
    max_logit_rows: usize,
}

impl<O: Ops> Model<O> {
    /// Takes the weights to the device, and plans the buffers for steps of `max_rows` rows, `max_logit_rows` of them with
    /// logits at a time.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(
        ops: &mut O,
        config: &ModelConfig,
        sources: &ModelSources,
        max_rows: usize,
        max_logit_rows: usize,
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
            lm_head_in: ops.buf(max_logit_rows, config.hidden)?,
            lm_head_normed: ops.buf(max_logit_rows, config.hidden)?,
            logits: ops.buf(max_logit_rows, config.vocab_size)?,
        };
        Ok(Self {
            embedding: Arc::new(ops.linear_weights(&sources.embedding)?),
            layers,
            norm: ops.vector(&sources.norm)?,
            lm_head: Arc::new(ops.linear_weights(&sources.lm_head)?),
            scratch,
            max_logit_rows,
        })
    }

    /// The table of embeddings, for a head that has none of its own.
    pub(crate) fn embedding(&self) -> &Arc<O::Linear> {
        &self.embedding
    }

    /// The last product's matrix, likewise.
    pub(crate) fn lm_head(&self) -> &Arc<O::Linear> {
        &self.lm_head
    }

    /// Runs a step that [`Ops::begin`] was given, down to sampled tokens. `on_logits` gets f32 rows that
    /// want their logits, with their index among the step's.
    ///
    /// # Errors
    /// The device is lost.
    pub fn forward(
        &mut self,
        ops: &mut O,
        batch: &StepBatch,
        on_logits: impl FnMut(usize, &[f32]),
    ) -> Result<(), ExecError> {
        self.forward_observed(ops, batch, &mut Unobserved, on_logits)
    }

    /// [`Model::forward`] with somebody who looks at the layers.
    ///
    /// # Errors
    /// The device is lost.
    pub(crate) fn forward_observed(
        &mut self,
        ops: &mut O,
        batch: &StepBatch,
        observer: &mut impl Observer<O>,
        mut on_logits: impl FnMut(usize, &[f32]),
    ) -> Result<(), ExecError> {
        self.run_layers(ops, batch, self.layers.len(), observer)?;
        // One round unless somebody wants logits of whole prompts.
        for first in (0..batch.logit_rows.len()).step_by(self.max_logit_rows) {
            let logit_rows = first..batch.logit_rows.len().min(first + self.max_logit_rows);
            self.run_lm_head(ops, logit_rows.clone(), &mut Unobserved)?;
            let logits = &self.scratch.logits;
            ops.sample(logits, logit_rows.clone())?;
            if batch.logit_rows[logit_rows.clone()]
                .iter()
                .any(|h| h.logits)
            {
                let rows = ops.read(logits, logit_rows.len())?;
                for (i, row) in logit_rows
                    .clone()
                    .zip(rows.chunks_exact(rows.len() / logit_rows.len()))
                {
                    if batch.logit_rows[i].logits {
                        on_logits(i, row);
                    }
                }
            }
        }
        Ok(())
    }

    /// The operations of a step that [`Ops::begin`] was given, with somebody who looks at each; nothing is sampled.
    ///
    /// # Errors
    /// The device is lost.
    pub(crate) fn observe(
        &mut self,
        ops: &mut O,
        batch: &StepBatch,
        observer: &mut impl Observer<O>,
    ) -> OpResult {
        self.run_layers(ops, batch, self.layers.len(), observer)?;
        let logit_rows = batch.logit_rows.len().min(self.max_logit_rows);
        self.run_lm_head(ops, 0..logit_rows, observer)
    }

    /// From the step's tokens to the residual stream behind the first `layers` layers.
    fn run_layers(
        &mut self,
        ops: &mut O,
        batch: &StepBatch,
        layers: usize,
        observer: &mut impl Observer<O>,
    ) -> OpResult {
        let (s, rows) = (&mut self.scratch, batch.rows());
        ops.embed(&self.embedding, &mut s.x)?;
        for (i, l) in self.layers.iter().take(layers).enumerate() {
            if i == 0 {
                ops.rmsnorm(&s.x, &l.attention_norm, rows, &mut s.normed)?;
            } else {
                ops.add_rmsnorm(&mut s.x, &s.delta, &l.attention_norm, rows, &mut s.normed)?;
            }
            observer.boundary(i, ops, &s.x, rows)?;
            for op in [
                Op::Qkv(l),
                Op::RopeKv(l),
                Op::Attention(l),
                Op::AttentionOut(l),
            ] {
                observer.op(&op, ops, s, rows)?;
            }
            ops.add_rmsnorm(&mut s.x, &s.delta, &l.mlp_norm, rows, &mut s.normed)?;
            observer.op(&Op::Router(l), ops, s, rows)?;
            observer.op(&Op::Experts(l), ops, s, rows)?;
        }
        ops.add(&mut s.x, &s.delta)?;
        observer.boundary(layers, ops, &s.x, rows)
    }

    /// The logits of these rows, at most `max_logit_rows`.
    fn run_lm_head(
        &mut self,
        ops: &mut O,
        logit_rows: Range<usize>,
        observer: &mut impl Observer<O>,
    ) -> OpResult {
        let (s, rows) = (&mut self.scratch, logit_rows.len());
        ops.gather_rows(&s.x, logit_rows, &mut s.lm_head_in)?;
        ops.rmsnorm(&s.lm_head_in, &self.norm, rows, &mut s.lm_head_normed)?;
        observer.op(&Op::LmHead(self.lm_head.as_ref()), ops, s, rows)
    }
}
