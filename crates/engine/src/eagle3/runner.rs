//! An executor that drafts and verifies. A step is a transaction: guess behind each sequence's last token, run the target over
//! all of it at once, keep the longest prefix that the target chose itself, and learn from the target's own states.
//!
//! Waits for the device several times a step, so it is for devices that compute where they are called. Engine thread.

use std::collections::VecDeque;

use super::head::Head;
use super::loaded::LoadedHead;
use super::simulated::SimulatedAcceptance;
use crate::batch::{SeqRows, StepBatch, TableRef};
use crate::executor::{
    Capacity, Draft, ExecError, Executor, InputToken, StepHandle, StepPlan, StepSeq, StepTokens,
    accepted,
};
use crate::model::Model;
use crate::ops::{BAD_LOGITS, DraftOps};
use ossmark_protocol::TokenId;

/// A model and a head, each with its own operations: they differ in shape, rotary embedding and pool.
pub(crate) struct SpeculativeRunner<O: DraftOps> {
    pub(crate) ops: O,
    pub(crate) model: Model<O>,
    pub(crate) head_ops: O,
    pub(crate) head: Head<O>,
    /// Stands in for [`accepted`] with a head that guesses nothing.
    simulated: Option<SimulatedAcceptance>,
    capacity: Capacity,
    next: u64,
    done: VecDeque<(StepHandle, StepTokens)>,
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
            done: VecDeque::new(),
        }
    }

    /// Guesses as many tokens for each sequence as the plan asks for, all sequences side by side.
    fn draft(&mut self, plan: &StepPlan) -> Result<Vec<Vec<TokenId>>, ExecError> {
        let mut drafts: Vec<Vec<TokenId>> = vec![Vec::new(); plan.seqs.len()];
        let wanted =
            |drafts: &[Vec<TokenId>], i: usize| drafts[i].len() < plan.seqs[i].verify.len();
        let mut active: Vec<usize> = (0..plan.seqs.len())
            .filter(|i| wanted(&drafts, *i))
            .collect();
        if active.is_empty() {
            return Ok(drafts);
        }
        let slots: Vec<_> = active.iter().map(|i| plan.seqs[*i].slot).collect();
        let mut guesses = self.head.guess_kept(&mut self.head_ops, &slots)?;
        loop {
            for (i, token) in active.iter().zip(&guesses) {
                check_finite(*token, "the draft head's")?;
                drafts[*i].push(*token);
            }
            let from: Vec<_> = (0..active.len())
                .filter(|row| wanted(&drafts, active[*row]))
                .collect();
            active = from.iter().map(|row| active[*row]).collect();
            if active.is_empty() {
                return Ok(drafts);
            }
            // The guess that was just made, with the state it was made from.
            let mut pairs = StepBatch::default();
            for i in &active {
                let seq = &plan.seqs[*i];
                let guessed = &drafts[*i];
                let position = seq.start + guessed.len() as u32 - 1;
                add_pairs(&mut pairs, seq, position, &guessed[guessed.len() - 1..]);
            }
            self.head.run_own(&mut self.head_ops, &pairs, &from)?;
            let rows: Vec<_> = (0..active.len()).collect();
            guesses = self.head.guess_run(&mut self.head_ops, &rows)?;
        }
    }

    /// Runs the head over what stands, with the target's states of this step.
    fn learn(
        &mut self,
        plan: &StepPlan,
        batch: &StepBatch,
        drafts: &[Draft],
        tokens: &[Option<TokenId>],
    ) -> Result<(), ExecError> {
        let (mut pairs, mut rows, mut kept) = (StepBatch::default(), Vec::new(), Vec::new());
        for (i, seq) in plan.seqs.iter().enumerate() {
            let of_step = batch.seqs[i];
            let stand = seq.inputs.len() + drafts[i].accepted as usize;
            let first = of_step.first_row as usize;
            let known = |input: &InputToken| match *input {
                InputToken::Known(token) => Ok(token),
                InputToken::FromPrevious(slot) => Err(ExecError(format!(
                    "impossible step: slot {slot}'s token is asked for, and the host has it"
                ))),
            };
            let mut followers = batch.tokens[first + 1..first + stand]
                .iter()
                .map(known)
                .collect::<Result<Vec<_>, _>>()?;
            let Some(after) = tokens[i].or(seq.next) else {
                return Err(ExecError(format!(
                    "impossible step: sequence {i} samples nothing, and nothing is said of what comes after it"
                )));
            };
            followers.push(after);
            add_pairs(&mut pairs, seq, seq.start, &followers);
            rows.extend(first..first + stand);
            if seq.sample.is_some() {
                kept.push((pairs.rows() - 1, seq.slot));
            }
        }
        self.head.run_true(&mut self.head_ops, &pairs, &rows)?;
        self.head.keep(&mut self.head_ops, &kept)
    }
}

/// Adds pairs of one sequence from `position` on, each with the token after it.
fn add_pairs(batch: &mut StepBatch, seq: &StepSeq, position: u32, followers: &[TokenId]) {
    let number = batch.seqs.len() as u32;
    let full = batch.add_table(&seq.full);
    batch.seqs.push(SeqRows {
        first_row: batch.rows() as u32,
        rows: followers.len() as u32,
        start: position,
        full,
        window: TableRef::default(),
    });
    for (position, token) in (position..).zip(followers) {
        batch.tokens.push(InputToken::Known(*token));
        batch.positions.push(position);
        batch.seq_of_row.push(number);
    }
}

impl<O: DraftOps> Executor for SpeculativeRunner<O> {
    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn submit(&mut self, plan: StepPlan) -> Result<StepHandle, ExecError> {
        let step = StepHandle(self.next);
        self.next += 1;
        let drafted = self.draft(&plan)?;
        let batch = StepBatch::verifying(&plan, &drafted, &self.capacity)?;
        let mut logits = vec![Vec::new(); plan.seqs.len()];
        let mut finite = true;
        self.ops.begin(&batch)?;
        self.model.forward_observed(
            &mut self.ops,
            &batch,
            &mut self.head.observer(),
            |i, row| {
                finite &= row.iter().all(|x| x.is_finite());
                logits[batch.logit_rows[i].seq as usize].extend_from_slice(row);
            },
        )?;
        if !finite {
            check_finite(BAD_LOGITS, "the model's")?;
        }
        self.ops.end(step)?;
        let mut chosen = self.ops.tokens(step)?.into_iter();
        let (mut tokens, mut drafts) = (Vec::new(), Vec::new());
        for (seq, drafted) in plan.seqs.iter().zip(drafted) {
            let asked = usize::from(seq.sample.is_some()) + drafted.len();
            let of_seq: Vec<_> = chosen.by_ref().take(asked).collect();
            let stand = match &mut self.simulated {
                Some(simulated) => simulated.accepted(drafted.len()),
                None => accepted(&drafted, &of_seq),
            };
            let token = of_seq.get(stand).copied();
            token.map_or(Ok(()), |token| check_finite(token, "the model's"))?;
            tokens.push(token);
            drafts.push(Draft {
                tokens: drafted,
                accepted: stand as u32,
            });
        }
        self.learn(&plan, &batch, &drafts, &tokens)?;
        let results = StepTokens {
            tokens,
            drafts,
            logits,
        };
        self.done.push_back((step, results));
        Ok(step)
    }

    fn wait(&mut self, step: StepHandle) -> Result<StepTokens, ExecError> {
        match self.done.pop_front() {
            Some((done, results)) if done == step => Ok(results),
            _ => Err(ExecError(format!(
                "step {} was waited for out of order",
                step.0
            ))),
        }
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
