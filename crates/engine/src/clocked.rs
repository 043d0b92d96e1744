//! The engine with a clock instead of a device: its own pipeline and scheduler, blocks and preemptions included, told how long
//! each step takes. What a run would do is seen in a moment, and no weights are read. Owns its clock; any thread.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::{EngineSettings, scheduler};
use crate::error::EngineError;
use crate::executor::{
    Capacity, ExecError, Executor, InputToken, StepHandle, StepPlan, StepSeq, StepTokens,
};
use crate::limits::Limits;
use crate::pipeline::Pipeline;
use ossmark_protocol::{Request, RequestError, RequestId, Sampling, StopTokens, TokenId};

/// Prompts are made of it.
const PROMPT: TokenId = 0;
/// Answers are made of it.
const ANSWER: TokenId = 1;

/// What a step computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepWork {
    /// Tokens of prompts, and those that are computed again after a preemption.
    pub prefill_tokens: u64,
    /// Sequences that decode, one token each.
    pub decode_rows: u64,
    /// Positions that those sequences look back on, of all of them.
    pub context: u64,
}

impl StepWork {
    fn of(plan: &StepPlan) -> Self {
        let mut work = Self::default();
        for seq in &plan.seqs {
            if decodes(seq) {
                work.decode_rows += 1;
                work.context += seq.end();
            } else {
                work.prefill_tokens += seq.inputs.len() as u64;
            }
        }
        work
    }
}

fn decodes(seq: &StepSeq) -> bool {
    seq.inputs.len() == 1 && seq.inputs[0] != InputToken::Known(PROMPT)
}

/// What became of a request in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Whose.
    pub id: RequestId,
    /// When its tokens came, in nanoseconds on the clock.
    pub at_ns: u64,
    /// How many.
    pub n_tokens: u32,
    /// Whether those were the last.
    pub ended: bool,
}

/// An engine on a virtual clock, which begins at 0.
pub struct Clocked {
    pipeline: Pipeline,
    limits: Limits,
    clock: Arc<Mutex<Clock>>,
}

/// Of host and device, in nanoseconds.
#[derive(Default)]
struct Clock {
    now: u64,
    /// When the device has done all that it was given.
    done: u64,
}

impl Clocked {
    /// An engine of this capacity. `step_ns` says how long a step takes, in nanoseconds; it is asked once for each, in order.
    ///
    /// # Errors
    /// As [`crate::Engine::start`], and for a capacity with a draft head: how many of its tokens stand is not known without a
    /// model.
    pub fn new(
        capacity: Capacity,
        settings: EngineSettings,
        step_ns: impl FnMut(&StepWork) -> u64 + Send + 'static,
    ) -> Result<Self, EngineError> {
        if capacity.draft_tokens > 0 {
            return Err(EngineError::Capacity {
                name: "draft_tokens",
                found: capacity.draft_tokens,
                expected: "0: without a model nobody knows how many drafted tokens stand",
            });
        }
        let capacity = Capacity {
            vocab_size: capacity.vocab_size.max(ANSWER + 1),
            ..capacity
        };
        let depth = settings.pipeline_depth as usize;
        let scheduler = scheduler(capacity, settings)?;
        let clock = Arc::new(Mutex::new(Clock::default()));
        let device = Device {
            capacity,
            step_ns: Box::new(step_ns),
            clock: Arc::clone(&clock),
            steps: 0,
            in_flight: VecDeque::new(),
        };
        Ok(Self {
            pipeline: Pipeline::new(scheduler, Box::new(device), depth),
            limits: Limits(capacity),
            clock,
        })
    }

    /// Hands over a request of so many tokens, whose answer will have `output`, at a time that is not before that of an earlier
    /// one. It is in the next step that is planned then or later.
    ///
    /// # Errors
    /// What the engine would refuse.
    pub fn submit(
        &mut self,
        at_ns: u64,
        id: RequestId,
        prompt: u32,
        output: u32,
    ) -> Result<(), RequestError> {
        let request = Request {
            id,
            prompt: vec![PROMPT; prompt as usize].into(),
            sampling: Sampling::GREEDY,
            seed: 0,
            max_new_tokens: output,
            stop_tokens: StopTokens::default(),
            ignore_eos: true,
            want_logits: false,
        };
        self.limits.check_request(&request)?;
        if self.pipeline.is_idle() {
            let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
            clock.now = clock.now.max(at_ns);
        }
        // It was checked: there is nothing left to refuse.
        let _ = self.pipeline.scheduler.add(request);
        Ok(())
    }

    /// Runs steps until the clock is at `until_ns` or behind it, or nothing is left to do.
    ///
    /// # Errors
    /// As a running engine: when its scheduler is stuck.
    pub fn work(
        &mut self,
        until_ns: u64,
        mut progress: impl FnMut(Progress),
    ) -> Result<(), EngineError> {
        while self.now_ns() < until_ns
            && let Some(step) = self.pipeline.step()?
        {
            let at_ns = self.now_ns();
            for output in step.outputs {
                progress(Progress {
                    id: output.id,
                    at_ns,
                    n_tokens: output.n_tokens,
                    ended: output.end.is_some(),
                });
            }
        }
        Ok(())
    }

    /// Sequences that gave up what was computed for want of blocks.
    pub fn preemptions(&self) -> u64 {
        self.pipeline.scheduler.preemptions()
    }

    fn now_ns(&self) -> u64 {
        let clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.now
    }
}

/// Takes its time and computes nothing. One step after the other, as a device's queue does.
struct Device {
    capacity: Capacity,
    step_ns: Box<dyn FnMut(&StepWork) -> u64 + Send>,
    clock: Arc<Mutex<Clock>>,
    steps: u64,
    in_flight: VecDeque<(u64, StepTokens)>,
}

impl Executor for Device {
    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn submit(&mut self, plan: StepPlan) -> Result<StepHandle, ExecError> {
        self.steps += 1;
        let takes = (self.step_ns)(&StepWork::of(&plan));
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        // At least one: a clock that stood still would never end.
        clock.done = clock.done.max(clock.now).saturating_add(takes.max(1));
        let tokens = StepTokens {
            tokens: plan
                .seqs
                .iter()
                .map(|seq| seq.sample.map(|_| ANSWER))
                .collect(),
            drafts: Vec::new(),
            logits: vec![Vec::new(); plan.seqs.len()],
        };
        self.in_flight.push_back((clock.done, tokens));
        Ok(StepHandle(self.steps))
    }

    fn wait(&mut self, step: StepHandle) -> Result<StepTokens, ExecError> {
        let Some((done, tokens)) = self.in_flight.pop_front() else {
            return Err(ExecError(format!("{step:?} is not in flight")));
        };
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.now = done;
        Ok(tokens)
    }
}
