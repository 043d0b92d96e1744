//! One step of the engine: plan, execute, resolve, commit. Owns the scheduler, the executor and the steps in flight;
//! sends nothing. Used on the engine thread.

use std::collections::VecDeque;

use crate::error::EngineError;
use crate::executor::{Executor, StepPlan, StepSeq};
use crate::in_flight::InFlight;
use crate::resolve::resolve;
use crate::scheduler::{PlannedStep, Scheduler};
use ossmark_protocol::StepOutputs;

/// The scheduler with its executor.
pub(crate) struct Pipeline {
    pub(crate) scheduler: Scheduler,
    executor: Box<dyn Executor>,
    in_flight: VecDeque<InFlight>,
    depth: usize,
}

impl Pipeline {
    pub(crate) fn new(scheduler: Scheduler, executor: Box<dyn Executor>, depth: usize) -> Self {
        Self {
            scheduler,
            executor,
            in_flight: VecDeque::new(),
            depth,
        }
    }

    /// Nothing in flight and nobody waiting or running.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.scheduler.n_running() + self.scheduler.n_waiting() == 0
    }

    /// Fills the pipeline, then waits for the oldest step and publishes it. None: there was nothing to do.
    pub(crate) fn step(&mut self) -> Result<Option<StepOutputs>, EngineError> {
        while self.in_flight.len() < self.depth
            && let Some(planned) = self.scheduler.plan()?
        {
            self.execute(planned)?;
        }
        let Some(oldest) = self.in_flight.pop_front() else {
            return Ok(None);
        };
        let step = oldest.step;
        let results = self
            .executor
            .wait(oldest.handle)
            .map_err(|source| EngineError::Step { step, source })?;
        let results = resolve(&oldest, results, self.scheduler.vocab_size())?;
        let mut outputs = self.scheduler.commit(results)?;
        outputs.rows = oldest.rows;
        outputs.prefill_tokens = oldest.prefill_tokens;
        outputs.context = oldest.context;
        Ok(Some(outputs))
    }

    fn execute(&mut self, planned: PlannedStep) -> Result<(), EngineError> {
        let PlannedStep {
            step, plan, seqs, ..
        } = planned;
        let of_seq = plan.seqs.iter().map(|s| s.inputs.len() + s.verify.len());
        let rows = of_seq.sum::<usize>() as u64;
        let (prefill_tokens, context) = work(&plan);
        let handle = self
            .executor
            .submit(plan)
            .map_err(|source| EngineError::Step { step, source })?;
        self.in_flight.push_back(InFlight {
            step,
            handle,
            rows,
            prefill_tokens,
            context,
            seqs,
        });
        Ok(())
    }

    /// Lets the steps in flight end, whatever comes of them: the device must be at rest before its memory goes.
    pub(crate) fn drain(&mut self) {
        for step in self.in_flight.drain(..) {
            if self.executor.wait(step.handle).is_err() {
                return;
            }
        }
    }
}

/// Tokens of prompts in a step, and positions that the sequences that decode look back on.
fn work(plan: &StepPlan) -> (u64, u64) {
    let decodes = |seq: &StepSeq| seq.inputs.len() == 1 && seq.start > 0;
    let (mut prefill_tokens, mut context) = (0, 0);
    for seq in &plan.seqs {
        match decodes(seq) {
            true => context += seq.end(),
            false => prefill_tokens += seq.inputs.len() as u64,
        }
    }
    (prefill_tokens, context)
}

#[cfg(test)]
mod tests;
