//! The pass with one layer changed, for auditors: an implementation that computes its answers cannot give the same ones. The
//! work stays the same; it is counted, so that this can be seen.
//!
//! For `auditor perturb` alone: no command that makes a run or serves can ask for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Observer, Op, Scratch};
use crate::ops::{OpResult, Ops};

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: steps and rows are counted as in the others.
    Nothing,
    /// The layer is computed and its result dropped.
    LayerDropped(u32),
    /// In the layer each row goes to the experts next to those that the router chose.
    ExpertsSwapped(u32),
}

impl Change {
    /// The layer that is changed.
    pub fn layer(self) -> Option<u32> {
        match self {
            Self::Nothing => None,
            Self::LayerDropped(layer) | Self::ExpertsSwapped(layer) => Some(layer),
        }
    }
}

/// What was computed so far.
#[derive(Debug, Default)]
pub struct Work {
    steps: AtomicU64,
    rows: AtomicU64,
}

impl Work {
    /// Passes over the layers.
    pub fn steps(&self) -> u64 {
        self.steps.load(Relaxed)
    }

    /// Rows that the operations of all layers worked on, summed over operations.
    pub fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }
}

/// A change, and where the work is counted.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What is changed.
    pub change: Change,
    /// Counts what is computed.
    pub work: Arc<Work>,
}

/// A probe during a pass.
pub(crate) struct Probing<'a> {
    probe: &'a Probe,
    /// The layer that the pass is in.
    layer: usize,
}

impl<'a> Probing<'a> {
    pub(crate) fn new(probe: &'a Probe) -> Self {
        Self { probe, layer: 0 }
    }

    fn is_here(&self, layer: u32) -> bool {
        self.layer == layer as usize
    }
}

impl<O: Ops> Observer<O> for Probing<'_> {
    fn boundary(&mut self, index: usize, _ops: &mut O, _x: &O::Buf, _rows: usize) -> OpResult {
        self.layer = index;
        if index == 0 {
            self.probe.work.steps.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    fn op(&mut self, op: &Op<'_, O>, ops: &mut O, s: &mut Scratch<O>, rows: usize) -> OpResult {
        self.probe.work.rows.fetch_add(rows as u64, Relaxed);
        op.run(ops, s, rows)?;
        match (self.probe.change, op) {
            // What a layer adds to the residual stream, it adds by these two.
            (Change::LayerDropped(layer), Op::AttentionOut(_) | Op::Experts(_))
                if self.is_here(layer) =>
            {
                let values = ops.read(&s.delta, rows)?.len();
                ops.write(&mut s.delta, &vec![0.0; values])
            }
            (Change::ExpertsSwapped(layer), Op::Router(_)) if self.is_here(layer) => {
                let mut logits = ops.read(&s.router_logits, rows)?;
                let experts = logits.len() / rows.max(1);
                for row in logits.chunks_exact_mut(experts.max(1)) {
                    row.rotate_right(1);
                }
                ops.write(&mut s.router_logits, &logits)?;
                ops.route(&s.router_logits, &mut s.routing)
            }
            _ => Ok(()),
        }
    }
}
