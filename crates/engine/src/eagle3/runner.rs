//! An executor that drafts and verifies. A step is a transaction: guess behind each sequence's last token, run the target over
//! all of it at once, keep the longest prefix that the target chose itself, and learn from the target's own states.
//!
//! All of it is given to the device at once, and no part waits for the host: drafted and chosen tokens stay where the device
//! keeps tokens ([`crate::executor::TokenPlaces`]), and it finds by itself how many drafts stand. Engine thread.

use std::collections::VecDeque;

use super::compare::{Choose, Found};
use super::head::Head;
use super::loaded::LoadedHead;
use super::passes;
use super::simulated::SimulatedAcceptance;
use crate::batch::{SeqRows, Stand, StepBatch};
use crate::executor::{
    Capacity, Draft, ExecError, Executor, SeqSlot, StepHandle, StepPlan, StepTokens, TokenPlaces,
    accepted,
};
use crate::model::Model;
use crate::ops::{BAD_LOGITS, DraftOps, OpResult};
use crate::runner::NotRecorded;
use ossmark_protocol::TokenId;

/// A model and a head, each with its own operations: they differ in shape, rotary embedding and pool.
pub(crate) struct SpeculativeRunner<O: DraftOps> {
    ops: O,
    model: Model<O>,
    pub(super) head_ops: O,
    pub(super) head: Head<O>,
    /// Stands in for [`accepted`] with a head that guesses nothing.
    simulated: Option<SimulatedAcceptance>,
    capacity: Capacity,
    next: u64,
    in_flight: VecDeque<InFlight>,
}

struct InFlight {
    step: StepHandle,
    /// Of each sequence of the plan.
    rounds: Vec<RoundInFlight>,
    logits: Vec<Vec<f32>>,
}

struct RoundInFlight {
    slot: SeqSlot,
    drafts: u32,
    stand: Stand,
}

/// What a step's launches depend on.
#[derive(Clone, Copy)]
struct Shape {
    seqs: usize,
    rows: usize,
    drafts: usize,
}

impl<O: DraftOps> SpeculativeRunner<O> {
    /// `capacity.draft_tokens` is what the head may draft at a time; `loaded`: where the head is from.
    pub(crate) fn new(
        (ops, model): (O, Model<O>),
        (head_ops, head): (O, Head<O>),
        loaded: &LoadedHead,
        capacity: Capacity,
    ) -> Self {
        Self {
            ops,
            model,
            head_ops,
            head,
            simulated: loaded.simulated(),
            capacity,
            next: 0,
            in_flight: VecDeque::new(),
        }
    }

    /// [`Head::compare`] on the positions of a step, whose inputs are known; none may be in flight.
    ///
    /// # Errors
    /// As for [`Executor`].
    pub(crate) fn compare_head(
        &mut self,
        plan: &StepPlan,
        choose: Choose<O>,
        found: Found<'_>,
    ) -> OpResult {
        let pass = StepBatch::new(plan, &self.capacity)?;
        let rows = (pass.rows(), self.capacity.max_seqs as usize);
        self.head_ops.begin_passes(std::slice::from_ref(&pass))?;
        self.head.compare(&mut self.head_ops, rows, choose, found)
    }

    /// What `work` does while drafts are compared with what the model chose, whatever the head is.
    pub(crate) fn comparing<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let simulated = self.simulated.take();
        let done = work(self);
        self.simulated = simulated;
        done
    }

    /// A step from beginning to end; no other may be in flight.
    ///
    /// # Errors
    /// As for [`Executor`].
    pub(crate) fn run(&mut self, plan: StepPlan) -> Result<StepTokens, ExecError> {
        let step = self.submit(plan)?;
        self.wait(step)
    }

    /// Records rounds of so many sequences, the fewest first, each with all drafts, where the device can. None may be in
    /// flight.
    ///
    /// # Errors
    /// As for [`crate::runner::ModelRunner::record`].
    pub(crate) fn record(&mut self, sizes: &[usize]) -> Result<(), NotRecorded> {
        for (kept, seqs) in sizes.iter().enumerate() {
            self.record_size(*seqs)
                .map_err(|error| NotRecorded { kept, error })?;
        }
        Ok(())
    }

    /// Forgets what was recorded.
    pub(crate) fn forget(&mut self) {
        self.ops.forget();
    }

    fn record_size(&mut self, seqs: usize) -> OpResult {
        let shape = Shape::whole(seqs, &self.capacity);
        let mut batch = StepBatch::default();
        batch.fill_up(shape.rows);
        let mut passes = vec![StepBatch::default(); 1 + shape.drafts];
        passes::fill_up(&mut passes, seqs, shape.rows);
        self.head_ops.begin_passes(&passes)?;
        self.ops.begin(&batch)?;
        let Self {
            ops,
            model,
            head_ops,
            head,
            ..
        } = self;
        let mut launch =
            |ops: &mut O| launch((ops, model), (head_ops, head), &batch, shape, |_, _| ());
        // Once as it is: kernels may be loaded at their first launch, which cannot be recorded.
        launch(ops)?;
        ops.record(seqs, &mut launch)
    }
}

impl Shape {
    /// All drafts for each sequence.
    fn whole(seqs: usize, capacity: &Capacity) -> Self {
        let drafts = capacity.draft_tokens as usize;
        let rows = seqs * (1 + drafts);
        Self { seqs, rows, drafts }
    }
}

/// Launches a step whose metadata the operations have.
fn launch<O: DraftOps>(
    (ops, model): (&mut O, &mut Model<O>),
    (head_ops, head): (&mut O, &mut Head<O>),
    batch: &StepBatch,
    shape: Shape,
    on_logits: impl FnMut(usize, &[f32]),
) -> OpResult {
    let Shape { seqs, rows, drafts } = shape;
    head.draft(head_ops, seqs, drafts)?;
    model.forward_observed(ops, batch, &mut head.observer(), on_logits)?;
    head.learn(head_ops, drafts, rows)
}

impl<O: DraftOps> Executor for SpeculativeRunner<O> {
    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn submit(&mut self, plan: StepPlan) -> Result<StepHandle, ExecError> {
        let mut batch = StepBatch::new(&plan, &self.capacity)?;
        let drafts = plan.seqs.iter().map(|seq| seq.verify.len()).max();
        let mut shape = Shape {
            seqs: plan.seqs.len(),
            rows: batch.rows(),
            drafts: drafts.unwrap_or(0),
        };
        let recorded = match batch.is_decode() && shape.drafts > 0 {
            true => self.ops.recorded(shape.seqs),
            false => None,
        };
        let mut learning = passes::learning(&plan, &batch, &self.capacity)?;
        if let Some(simulated) = &mut self.simulated {
            passes::give(&mut learning, |drafts| simulated.accepted(drafts));
        }
        let round = |seq: &SeqRows| RoundInFlight {
            slot: seq.slot,
            drafts: seq.drafts,
            stand: seq.stand,
        };
        let rounds = learning.seqs.iter().map(round).collect();
        if let Some(seqs) = recorded {
            shape = Shape::whole(seqs, &self.capacity);
        }
        let drafting = |n| passes::drafting(&plan, n as u32, &self.capacity);
        let mut passes: Vec<_> = (0..shape.drafts).map(drafting).collect();
        passes.push(learning);
        if recorded.is_some() {
            batch.fill_up(shape.rows);
            passes::fill_up(&mut passes, shape.seqs, shape.rows);
        }
        let step = StepHandle(self.next);
        self.next += 1;
        let mut logits = vec![Vec::new(); plan.seqs.len()];
        let mut finite = true;
        self.head_ops.begin_passes(&passes)?;
        self.ops.begin(&batch)?;
        if let Some(seqs) = recorded {
            self.ops.replay(seqs)?;
        } else {
            let model = (&mut self.ops, &mut self.model);
            let head = (&mut self.head_ops, &mut self.head);
            launch(model, head, &batch, shape, |i, row| {
                finite &= row.iter().all(|x| x.is_finite());
                logits[batch.logit_rows[i].seq as usize].extend_from_slice(row);
            })?;
        }
        if !finite {
            check_finite(BAD_LOGITS, "the model's")?;
        }
        self.ops.end(step)?;
        self.in_flight.push_back(InFlight {
            step,
            rounds,
            logits,
        });
        Ok(step)
    }

    fn wait(&mut self, step: StepHandle) -> Result<StepTokens, ExecError> {
        let Some(done) = self.in_flight.pop_front().filter(|f| f.step == step) else {
            return Err(ExecError::out_of_order(step));
        };
        let places = TokenPlaces::new(&self.capacity);
        let mut chosen = self.ops.tokens(step)?;
        let drafted = chosen.split_off(chosen.len() - places.drafted().len());
        let (mut chosen, first) = (chosen.into_iter(), places.drafted().start);
        let (mut tokens, mut drafts) = (Vec::new(), Vec::new());
        for round in &done.rounds {
            let of_slot = places.draft(round.slot, 0) as usize - first;
            let drafted = drafted[of_slot..][..round.drafts as usize].to_vec();
            for token in &drafted {
                check_finite(*token, "the draft head's")?;
            }
            let choices = match round.stand {
                Stand::Nothing => 0,
                Stand::Chosen | Stand::Given(_) => 1 + drafted.len(),
            };
            let choices: Vec<_> = chosen.by_ref().take(choices).collect();
            let stand = match round.stand {
                Stand::Given(n) => n as usize,
                Stand::Chosen | Stand::Nothing => accepted(&drafted, &choices),
            };
            let token = choices.get(stand).copied();
            token.map_or(Ok(()), |token| check_finite(token, "the model's"))?;
            tokens.push(token);
            drafts.push(Draft {
                tokens: drafted,
                accepted: stand as u32,
            });
        }
        Ok(StepTokens {
            tokens,
            drafts,
            logits: done.logits,
        })
    }
}

fn check_finite(token: TokenId, whose: &str) -> Result<(), ExecError> {
    if token != BAD_LOGITS {
        return Ok(());
    }
    Err(ExecError(format!(
        "{whose} logits are not finite; the weights are damaged, or the numbers overflowed"
    )))
}
