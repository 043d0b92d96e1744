//! Runs plans: flattens a step, sends it through the model, and hands out what was sampled. Engine thread.

use std::collections::VecDeque;

use crate::batch::StepBatch;
use crate::executor::{Capacity, ExecError, Executor, StepHandle, StepPlan, StepTokens};
use crate::model::{Model, Observer, Probe, Probing};
use crate::ops::{BAD_LOGITS, Ops};

struct InFlight {
    step: StepHandle,
    /// The sequence of each sampled token, in order.
    sampled: Vec<usize>,
    logits: Vec<Vec<f32>>,
}

/// From some size on, nothing was recorded.
#[derive(Debug)]
pub(crate) struct NotRecorded {
    /// How many sizes were recorded before that.
    pub(crate) kept: usize,
    pub(crate) error: ExecError,
}

/// A model on a device, as an executor.
pub(crate) struct ModelRunner<O: Ops> {
    ops: O,
    model: Model<O>,
    capacity: Capacity,
    next: u64,
    in_flight: VecDeque<InFlight>,
    /// An auditor's change of the model.
    probe: Option<Probe>,
}

impl<O: Ops> ModelRunner<O> {
    pub(crate) fn new(ops: O, model: Model<O>, capacity: Capacity) -> Self {
        Self {
            ops,
            model,
            capacity,
            next: 0,
            in_flight: VecDeque::new(),
            probe: None,
        }
    }

    /// The same with a changed model. Its steps are not recorded.
    pub(crate) fn probed(self, probe: Option<Probe>) -> Self {
        Self { probe, ..self }
    }

    /// The operations and the model, for another runner; nothing may be in flight.
    pub(crate) fn into_parts(self) -> (O, Model<O>) {
        (self.ops, self.model)
    }

    /// [`Model::compare`] on a step; none may be in flight.
    ///
    /// # Errors
    /// As for [`Executor`].
    pub(crate) fn compare(
        &mut self,
        plan: &StepPlan,
        layers: usize,
        reference: fn(&mut O, bool),
        found: impl FnMut(&'static str, &[f32], &[f32]),
    ) -> Result<(), ExecError> {
        let batch = StepBatch::new(plan, &self.capacity)?;
        self.ops.begin(&batch)?;
        self.model
            .compare(&mut self.ops, &batch, layers, reference, found)
    }

    /// [`Model::observe`] on a step; none may be in flight.
    ///
    /// # Errors
    /// As for [`Executor`].
    pub(crate) fn observe(
        &mut self,
        plan: &StepPlan,
        observer: &mut impl Observer<O>,
    ) -> Result<(), ExecError> {
        let batch = StepBatch::new(plan, &self.capacity)?;
        self.ops.begin(&batch)?;
        self.model.observe(&mut self.ops, &batch, observer)
    }

    /// A step from beginning to end; no other may be in flight.
    ///
    /// # Errors
    /// As for [`Executor`].
    pub(crate) fn run(&mut self, plan: StepPlan) -> Result<StepTokens, ExecError> {
        let step = self.submit(plan)?;
        self.wait(step)
    }

    /// The operations.
    pub(crate) fn ops(&self) -> &O {
        &self.ops
    }

    /// The operations, to be set up otherwise.
    pub(crate) fn ops_mut(&mut self) -> &mut O {
        &mut self.ops
    }

    /// Records decode steps of these sizes, the smallest first, where the device can. No step may be in flight.
    ///
    /// # Errors
    /// Recording failed, and larger steps will be launched as ever; or the device is lost, which the next step will say.
    pub(crate) fn record(&mut self, sizes: &[usize]) -> Result<(), NotRecorded> {
        for (kept, rows) in sizes.iter().enumerate() {
            self.record_size(*rows)
                .map_err(|error| NotRecorded { kept, error })?;
        }
        Ok(())
    }

    /// Forgets what was recorded.
    pub(crate) fn forget(&mut self) {
        self.ops.forget();
    }

    fn record_size(&mut self, rows: usize) -> Result<(), ExecError> {
        let mut batch = StepBatch::default();
        batch.fill_up(rows);
        let (ops, model) = (&mut self.ops, &mut self.model);
        ops.begin(&batch)?;
        // Once as it is: kernels may be loaded at their first launch, which cannot be recorded.
        model.forward(ops, &batch, |_, _| ())?;
        ops.record(rows, &mut |ops| model.forward(ops, &batch, |_, _| ()))
    }
}

impl<O: Ops> Executor for ModelRunner<O> {
    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn submit(&mut self, plan: StepPlan) -> Result<StepHandle, ExecError> {
        let mut batch = StepBatch::new(&plan, &self.capacity)?;
        let size = if batch.is_decode() {
            self.ops.recorded(batch.rows())
        } else {
            None
        };
        if let Some(size) = size {
            batch.fill_up(size);
        }
        let mut logits = vec![Vec::new(); plan.seqs.len()];
        let step = StepHandle(self.next);
        self.next += 1;
        self.ops.begin(&batch)?;
        if let Some(size) = size {
            self.ops.replay(size)?;
        } else {
            let mut finite = true;
            let on_logits = |i: usize, row: &[f32]| {
                finite &= row.iter().all(|x| x.is_finite());
                logits[batch.logit_rows[i].seq as usize].extend_from_slice(row);
            };
            let (ops, model) = (&mut self.ops, &mut self.model);
            match &self.probe {
                None => model.forward(ops, &batch, on_logits)?,
                Some(probe) => {
                    model.forward_observed(ops, &batch, &mut Probing::new(probe), on_logits)?;
                }
            }
            if !finite {
                return Err(not_finite(step));
            }
        }
        self.ops.end(step)?;
        let sampled = batch
            .logit_rows
            .iter()
            .filter(|h| h.sample.is_some())
            .map(|h| h.seq as usize)
            .collect();
        self.in_flight.push_back(InFlight {
            step,
            sampled,
            logits,
        });
        Ok(step)
    }

    fn wait(&mut self, step: StepHandle) -> Result<StepTokens, ExecError> {
        let Some(done) = self.in_flight.pop_front().filter(|f| f.step == step) else {
            return Err(ExecError::out_of_order(step));
        };
        let tokens = self.ops.tokens(step)?;
        let mut out = StepTokens {
            tokens: vec![None; done.logits.len()],
            drafts: Vec::new(),
            logits: done.logits,
        };
        for (seq, token) in done.sampled.into_iter().zip(tokens) {
            if token == BAD_LOGITS {
                return Err(not_finite(step));
            }
            out.tokens[seq] = Some(token);
        }
        Ok(out)
    }
}

fn not_finite(step: StepHandle) -> ExecError {
    let step = step.0;
    ExecError(format!(
        "step {step}: logits are not finite; the weights are damaged, or the numbers overflowed"
    ))
}
