//! The pass as a check of a device's kernels: each operation by the best of them and by the reference ones, on the same inputs.

use super::{Model, Observer, Op, Scratch};
use crate::batch::StepBatch;
use crate::executor::ExecError;
use crate::ops::{OpResult, Ops};

impl<O: Ops> Model<O> {
    /// Runs the first `layers` layers and the lm_head of a step that [`Ops::begin`] was given, the operations for which a
    /// device may have several kernels in both ways: `reference(ops, false)` chooses the best, `reference(ops, true)` the
    /// reference ones. Each gets the same inputs both times, so that differences do not add up. `found` gets the operation and
    /// both results. The step's `logit_rows` are at most those of one round.
    ///
    /// # Errors
    /// The device is lost.
    pub(crate) fn compare(
        &mut self,
        ops: &mut O,
        batch: &StepBatch,
        layers: usize,
        reference: fn(&mut O, bool),
        found: impl FnMut(&'static str, &[f32], &[f32]),
    ) -> Result<(), ExecError> {
        let mut comparison = Comparison { reference, found };
        self.run_layers(ops, batch, layers, &mut comparison)?;
        let logit_rows = batch.logit_rows.len().min(self.max_logit_rows);
        self.run_lm_head(ops, 0..logit_rows, &mut comparison)?;
        reference(ops, false);
        Ok(())
    }
}

/// Where an operation leaves its result.
type Output<O> = fn(&mut Scratch<O>) -> &mut <O as Ops>::Buf;

struct Comparison<O, F> {
    reference: fn(&mut O, bool),
    found: F,
}

impl<O: Ops, F: FnMut(&'static str, &[f32], &[f32])> Comparison<O, F> {
    /// `seen` runs what is compared, with the reference kernels or the best, and reads what came of it.
    fn compare(
        &mut self,
        name: &'static str,
        mut seen: impl FnMut(bool) -> Result<Vec<f32>, ExecError>,
    ) -> OpResult {
        let best = seen(false)?;
        (self.found)(name, &best, &seen(true)?);
        Ok(())
    }

    /// The same for what `work` leaves in the first rows of the buffer `into`.
    fn compare_in(
        &mut self,
        name: &'static str,
        (ops, s, rows): (&mut O, &mut Scratch<O>, usize),
        into: Output<O>,
        work: impl Fn(&mut O, &mut Scratch<O>) -> OpResult,
    ) -> OpResult {
        let choose = self.reference;
        // First the best, and nothing right there before.
        let n = ops.read(into(s), rows)?.len();
        ops.write(into(s), &vec![f32::NAN; n])?;
        self.compare(name, |reference| {
            choose(ops, reference);
            work(ops, s)?;
            ops.read(into(s), rows)
        })
    }
}

impl<O: Ops, F: FnMut(&'static str, &[f32], &[f32])> Observer<O> for Comparison<O, F> {
    fn op(&mut self, op: &Op<'_, O>, ops: &mut O, s: &mut Scratch<O>, rows: usize) -> OpResult {
        let choose = self.reference;
        let (name, into): (_, Output<O>) = match op {
            Op::Qkv(_) => ("the product for queries, keys and values", |s| &mut s.qkv),
            Op::Attention(_) => ("attention", |s| &mut s.attended),
            Op::AttentionOut(_) => ("attention's last product", |s| &mut s.delta),
            Op::Router(_) => ("the router", |s| &mut s.router_logits),
            Op::LmHead(_) => ("the head", |s| &mut s.logits),
            // In place, and to the pool: seen through attention.
            Op::RopeKv(l) => {
                return self.compare("the rotation and the pool", |reference| {
                    choose(ops, true);
                    Op::Qkv(l).run(ops, s, rows)?;
                    choose(ops, reference);
                    op.run(ops, s, rows)?;
                    choose(ops, true);
                    Op::Attention(l).run(ops, s, rows)?;
                    ops.read(&s.attended, rows)
                });
            }
            Op::Experts(l) => {
                let routed = |ops: &mut O, s: &mut Scratch<O>| {
                    ops.route(&s.router_logits, &mut s.routing)?;
                    op.run(ops, s, rows)
                };
                self.compare_in("the experts", (ops, s, rows), |s| &mut s.delta, routed)?;
                // The router's choice, of the same logits: seen through the experts.
                choose(ops, false);
                Op::Router(l).run(ops, s, rows)?;
                return self.compare("the choice of experts", |reference| {
                    choose(ops, true);
                    if reference {
                        ops.route(&s.router_logits, &mut s.routing)?;
                    }
                    op.run(ops, s, rows)?;
                    ops.read(&s.delta, rows)
                });
            }
        };
        self.compare_in(name, (ops, s, rows), into, |ops, s| op.run(ops, s, rows))
    }
}
