//! Who runs in the next step. Owns all sequences, the block pool and the slots; computes nothing and sends nothing.
//! Used on the engine thread.
//!
//! `plan` decides a step and moves its sequences on as if it had run; `commit` takes in its results, one step late when
//! two are in flight. First come, first served: everything that runs arrived before everything that waits. Decodes go
//! first, then the chunks of prompts, then new sequences. When blocks run out the youngest running sequence gives up all
//! of its own and goes back to the head of the queue with its tokens (preemption by recomputation).
//!
//! With an executor that drafts, a decode is a span: the last token and drafted ones behind it, as far as budget and blocks
//! are left over. Of what is in flight only the first token is sure; `commit` adds what was accepted and gives the blocks of
//! the rest back. Until then the sequence sits out: at two steps in flight a span costs it every other step.

#[cfg(test)]
mod audit;

use std::collections::{HashMap, VecDeque};

use crate::blocks::{BlockPool, Geometry};
use crate::error::EngineError;
use crate::executor::{BlockId, Capacity, Draft, SeqSlot, StepPlan};
use crate::in_flight::{InFlightSeq, SeqKey, SeqStep};
use crate::limits::Limits;
use crate::sequence::Sequence;
use ossmark_protocol::{End, Request, RequestId, Round, SeqOutput, StepOutputs, TokenId};

/// A new sequence is let in only if this share of the pool stays free for those that run to grow into: a preemption costs
/// the recomputation of a whole sequence. vLLM keeps the same 1%.
const WATERMARK_SHARE: u32 = 100;

/// A step as decided, before it has a handle.
pub(crate) struct PlannedStep {
    pub(crate) step: u64,
    pub(crate) plan: StepPlan,
    /// In the order of the plan.
    pub(crate) seqs: Vec<InFlightSeq>,
    /// Input tokens that may still be added.
    budget: u32,
    /// Sequences with one known token that have not had their turn: drafts leave them a token of the budget, and blocks.
    decodes_left: u32,
}

/// All state of the requests that are open.
pub(crate) struct Scheduler {
    limits: Limits,
    geometry: Geometry,
    max_chunk: u32,
    stop_tokens: Vec<TokenId>,
    seqs: HashMap<SeqKey, Sequence>,
    /// For cancellation: the submitter knows ids only.
    by_id: HashMap<RequestId, SeqKey>,
    /// Sorted by key; all arrived after all of `running`.
    waiting: VecDeque<SeqKey>,
    /// Sorted by key.
    running: Vec<SeqKey>,
    slots: Vec<SeqSlot>,
    pool: BlockPool,
    /// Blocks that wait for the end of the last step that reads them.
    deferred: VecDeque<(u64, Vec<BlockId>)>,
    /// The last step planned, and the last one committed; counted from 1.
    planned: u64,
    committed: u64,
    next_key: u64,
    preemptions: u64,
}

impl Scheduler {
    /// `max_seqs` sequences run at once; a prompt is computed in chunks of at most `max_chunk` tokens.
    pub(crate) fn new(
        capacity: Capacity,
        stop_tokens: Vec<TokenId>,
        max_seqs: u32,
        max_chunk: u32,
    ) -> Self {
        Self {
            limits: Limits(capacity),
            geometry: Geometry::new(&capacity),
            max_chunk: max_chunk.min(capacity.max_step_tokens),
            stop_tokens,
            seqs: HashMap::new(),
            by_id: HashMap::new(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            slots: (0..max_seqs).rev().collect(),
            pool: BlockPool::new(capacity.n_blocks),
            deferred: VecDeque::new(),
            planned: 0,
            committed: 0,
            next_key: 0,
            preemptions: 0,
        }
    }

    pub(crate) fn n_running(&self) -> usize {
        self.running.len()
    }

    pub(crate) fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn pool(&self) -> &BlockPool {
        &self.pool
    }

    pub(crate) fn preemptions(&self) -> u64 {
        self.preemptions
    }

    pub(crate) fn vocab_size(&self) -> u32 {
        self.limits.0.vocab_size
    }

    /// Takes a request in, or returns the refusal of one that can never be answered.
    pub(crate) fn add(&mut self, request: Request) -> Option<SeqOutput> {
        if let Err(error) = self.limits.check_request(&request) {
            let end = Some(End::Failed(error.to_string()));
            return Some(SeqOutput {
                id: request.id,
                n_tokens: 0,
                end,
                engine: 0,
                logits: Vec::new(),
            });
        }
        let max_len = self
            .limits
            .max_len(request.prompt.len(), request.max_new_tokens);
        let key = SeqKey(self.next_key);
        self.next_key += 1;
        self.by_id.insert(request.id, key);
        self.seqs.insert(key, Sequence::new(request, max_len));
        self.waiting.push_back(key);
        None
    }

    /// The next step, or none when nothing can move until a step in flight is committed, or nothing is left to do.
    pub(crate) fn plan(&mut self) -> Result<Option<PlannedStep>, EngineError> {
        let step = self.planned + 1;
        let budget = self.limits.0.max_step_tokens;
        let decodes = |key: &&SeqKey| self.seqs[*key].remaining_tokens() == 1;
        let mut planned = PlannedStep {
            step,
            plan: StepPlan::default(),
            seqs: Vec::new(),
            budget,
            decodes_left: self.running.iter().filter(decodes).count() as u32,
        };
        for decodes in [true, false] {
            // By index: a preemption shortens the list from its end.
            let mut i = 0;
            while i < self.running.len() && planned.budget > 0 {
                let key = self.running[i];
                i += 1;
                let remaining = self.seqs[&key].remaining_tokens();
                if remaining > 0 && (remaining == 1) == decodes && self.seqs[&key].last_step < step
                {
                    planned.decodes_left -= u32::from(decodes);
                    self.schedule(key, &mut planned)?;
                }
            }
        }
        self.admit(&mut planned);
        if planned.seqs.is_empty() {
            let Self {
                running,
                waiting,
                pool,
                ..
            } = self;
            if self.planned == self.committed && !self.seqs.is_empty() {
                let (running, waiting) = (running.len(), waiting.len());
                return Err(EngineError::Stuck {
                    running,
                    waiting,
                    free: pool.n_free(),
                    n_blocks: pool.n_blocks(),
                });
            }
            return Ok(None);
        }
        self.planned = step;
        Ok(Some(planned))
    }

    /// Puts a running sequence into the step, if need be at the cost of younger ones, or leaves it for a later step.
    fn schedule(&mut self, key: SeqKey, planned: &mut PlannedStep) -> Result<(), EngineError> {
        let seq = self.seqs.get_mut(&key).expect("running sequences exist");
        let behind = seq.blocks.trim(&self.geometry, seq.computed);
        let last_step = seq.last_step;
        self.release(behind, last_step)?;
        while !self.try_chunk(key, planned) {
            // Blocks that come back with a step in flight are worth waiting for; a preemption is dear.
            let Some(&victim) = self.running.last().filter(|_| self.deferred.is_empty()) else {
                return Ok(());
            };
            if self.seqs[&victim].last_step == planned.step {
                return Ok(());
            }
            self.preempt(victim)?;
            if victim == key {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Adds the longest chunk of a sequence that budget and blocks allow. False: not a single token.
    fn try_chunk(&mut self, key: SeqKey, planned: &mut PlannedStep) -> bool {
        let seq = self.seqs.get_mut(&key).expect("scheduled sequences exist");
        let want = seq
            .remaining_tokens()
            .min(planned.budget)
            .min(self.max_chunk);
        let n = seq
            .blocks
            .longest_chunk(&self.geometry, seq.computed, want, self.pool.n_free());
        if n == 0 {
            return false;
        }
        // Drafts take what is left over: nobody is preempted or left out of the step for them.
        let drafts = seq.draftable(self.limits.0.draft_tokens).map(|most| {
            let most = most.min((planned.budget - n).saturating_sub(planned.decodes_left));
            let spare = self.pool.n_free().saturating_sub(2 * planned.decodes_left);
            seq.blocks
                .longest_chunk(&self.geometry, seq.computed, n + most, spare)
                .saturating_sub(n)
        });
        let end = seq.computed + n + drafts.unwrap_or(0);
        if !seq.blocks.grow(&self.geometry, end, &mut self.pool) {
            return false;
        }
        let slot = seq.slot.expect("scheduled sequences have a slot");
        let (step_seq, in_flight) = seq.advance(key, slot, n, drafts, planned.step);
        planned.plan.seqs.push(step_seq);
        planned.seqs.push(in_flight);
        planned.budget -= n + drafts.unwrap_or(0);
        true
    }

    /// Lets waiting sequences in, in their order, while there are slots, budget and blocks.
    fn admit(&mut self, planned: &mut PlannedStep) {
        if planned.budget == 0 || self.slots.is_empty() || self.waiting.is_empty() {
            return;
        }
        let watermark = self.pool.n_blocks().div_ceil(WATERMARK_SHARE);
        // Those that are still computing their prompts will take more blocks than they hold now.
        let missing = |seq: &Sequence| match seq.remaining_tokens() {
            0 | 1 => 0,
            _ => self
                .geometry
                .peak(seq.len(), self.max_chunk)
                .saturating_sub(seq.blocks.n_blocks()),
        };
        let mut reserved: u32 = self
            .running
            .iter()
            .map(|key| missing(&self.seqs[key]))
            .sum();
        while planned.budget > 0
            && let Some(&key) = self.waiting.front()
            && let Some(&slot) = self.slots.last()
        {
            let seq = self.seqs.get_mut(&key).expect("waiting sequences exist");
            // Preempted while a token was under way: its next input is not known, and there may be none.
            if seq.pending > 0 {
                return;
            }
            let need = self.geometry.peak(seq.len(), self.max_chunk);
            let room = self.pool.n_free().saturating_sub(reserved);
            // Alone it may have all: that it fits was checked when it came.
            if !self.running.is_empty() && room < need.saturating_add(watermark) {
                return;
            }
            seq.slot = Some(slot);
            if !self.try_chunk(key, planned) {
                self.seqs
                    .get_mut(&key)
                    .expect("waiting sequences exist")
                    .slot = None;
                return;
            }
            reserved += need.saturating_sub(self.seqs[&key].blocks.n_blocks());
            self.waiting.pop_front();
            self.slots.pop();
            self.running.push(key);
        }
    }

    /// Takes slot and blocks from the youngest running sequence; tokens, random numbers and steps in flight stay valid.
    fn preempt(&mut self, victim: SeqKey) -> Result<(), EngineError> {
        self.running.pop();
        self.waiting.push_front(victim);
        self.preemptions += 1;
        let seq = self.seqs.get_mut(&victim).expect("running sequences exist");
        seq.restart();
        let (blocks, last_step) = (seq.blocks.take_all(), seq.last_step);
        self.slots.extend(seq.slot.take());
        self.release(blocks, last_step)
    }

    /// Gives blocks back once `last_step` is over.
    fn release(&mut self, blocks: Vec<BlockId>, last_step: u64) -> Result<(), EngineError> {
        if last_step <= self.committed {
            self.pool.release(&blocks)?;
        } else if !blocks.is_empty() {
            self.deferred.push_back((last_step, blocks));
        }
        Ok(())
    }

    /// Takes in the results of the oldest step in flight.
    pub(crate) fn commit(&mut self, results: Vec<SeqStep>) -> Result<StepOutputs, EngineError> {
        self.committed += 1;
        for (last_step, blocks) in std::mem::take(&mut self.deferred) {
            self.release(blocks, last_step)?;
        }
        let mut out = StepOutputs::default();
        let step = self.committed;
        for result in results {
            let SeqStep {
                key,
                token,
                draft,
                start,
                mut logits,
            } = result;
            // It ended with the step before this one: this is the overshoot.
            let Some(seq) = self.seqs.get_mut(&key) else {
                continue;
            };
            let (mut end, mut n_tokens) = (None, 0);
            if let Some(token) = token {
                seq.pending -= 1;
                let accepted = draft.as_ref().map_or(&[][..], Draft::accepted_tokens);
                if seq.end_span(step, accepted.len() as u32, !logits.is_empty()) {
                    let refused = seq.blocks.shrink(&self.geometry, seq.computed);
                    self.pool.release(&refused)?;
                }
                for &token in accepted.iter().chain([&token]) {
                    seq.generated.push(token);
                    out.tokens.push(token);
                    n_tokens += 1;
                    end = seq.end_after(token, &self.stop_tokens);
                    // What was accepted behind it is no part of the answer.
                    if end.is_some() {
                        break;
                    }
                }
                let cut = accepted.len() + 1 - n_tokens as usize;
                let vocab = self.limits.0.vocab_size as usize;
                logits.truncate(logits.len().saturating_sub(cut * vocab));
            }
            out.rounds.extend(draft.map(|draft| Round {
                id: seq.request.id,
                position: start,
                drafted: draft.tokens,
                accepted: draft.accepted,
            }));
            if n_tokens > 0 || !logits.is_empty() {
                let ended = end.is_some();
                out.outputs.push(SeqOutput {
                    id: seq.request.id,
                    n_tokens,
                    end,
                    engine: 0,
                    logits,
                });
                if ended {
                    self.finish(key)?;
                }
            }
        }
        Ok(out)
    }

    /// Ends a request wherever it is, between two steps; none when it is unknown or has ended. What steps in flight still
    /// compute for it is dropped by `commit`, and its blocks wait for those steps.
    pub(crate) fn cancel(&mut self, id: RequestId) -> Result<Option<SeqOutput>, EngineError> {
        let Some(&key) = self.by_id.get(&id) else {
            return Ok(None);
        };
        self.finish(key)?;
        Ok(Some(SeqOutput {
            id,
            n_tokens: 0,
            end: Some(End::Cancelled),
            engine: 0,
            logits: Vec::new(),
        }))
    }

    fn finish(&mut self, key: SeqKey) -> Result<(), EngineError> {
        let mut seq = self.seqs.remove(&key).expect("a sequence ends once");
        self.by_id.remove(&seq.request.id);
        match seq.slot {
            Some(slot) => {
                self.slots.push(slot);
                self.running.retain(|&k| k != key);
            }
            None => self.waiting.retain(|&k| k != key),
        }
        self.release(seq.blocks.take_all(), seq.last_step)
    }
}
