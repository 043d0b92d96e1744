//! Continuous batching on a virtual clock, by what all its schedulers have in common: the sequences that run decode a token a
//! step, what is left of the step's tokens goes to prompts in the order in which they came, and new ones are let in while
//! there are places. It knows no blocks: what memory lets in is said by `max_seqs`. The engine's own scheduler, with its
//! blocks and preemptions, stands behind the same seam ([`System`]).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use ossmark_record::Row;

use crate::model::{Model, Step};
use crate::simulate::System;

/// What a step may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sequences that run at once.
    pub max_seqs: usize,
    /// Tokens of a step, of prompts and of sequences that decode.
    pub max_step_tokens: u64,
    /// Tokens of one prompt in a step.
    pub max_chunk: u64,
}

/// A server that batches.
#[derive(Clone, Debug)]
pub struct Batching {
    model: Model,
    limits: Limits,
    clock_ns: i64,
    waiting: VecDeque<usize>,
    /// Those whose prompts are being computed, with what is left of each.
    prefilling: VecDeque<(usize, u64)>,
    /// Those that decode, with the step after which each has its last token.
    decoding: BinaryHeap<Reverse<(u64, usize)>>,
    /// Positions of all that decode.
    context: u64,
    steps: u64,
}

impl Batching {
    /// With the times of `model`. Limits of nothing are taken for one: a step that holds nothing would never end.
    pub fn new(model: Model, limits: Limits) -> Self {
        let max_step_tokens = limits.max_step_tokens.max(1);
        let most_seqs = usize::try_from(max_step_tokens).unwrap_or(usize::MAX);
        Self {
            model,
            limits: Limits {
                max_seqs: limits.max_seqs.clamp(1, most_seqs),
                max_step_tokens,
                max_chunk: limits.max_chunk.max(1),
            },
            clock_ns: 0,
            waiting: VecDeque::new(),
            prefilling: VecDeque::new(),
            decoding: BinaryHeap::new(),
            context: 0,
            steps: 0,
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.prefilling.is_empty() && self.decoding.is_empty()
    }

    fn step(&mut self, rows: &mut [Row]) {
        let decode_rows = self.decoding.len() as u64;
        let mut budget = self.limits.max_step_tokens - decode_rows;
        let mut chunk = |left: &mut u64| {
            let tokens = (*left).min(budget).min(self.limits.max_chunk);
            *left -= tokens;
            budget -= tokens;
            (tokens, budget)
        };
        let mut prefill_tokens = 0;
        for (_, left) in &mut self.prefilling {
            prefill_tokens += chunk(left).0;
        }
        while chunk(&mut 0).1 > 0
            && self.decoding.len() + self.prefilling.len() < self.limits.max_seqs
            && let Some(place) = self.waiting.pop_front()
        {
            let mut left = u64::from(rows[place].prompt_tokens).max(1);
            prefill_tokens += chunk(&mut left).0;
            self.prefilling.push_back((place, left));
        }
        let takes = self.model.nanoseconds(&Step {
            prefill_tokens,
            decode_rows,
            context: self.context,
        });
        self.clock_ns = self.clock_ns.saturating_add(takes);
        self.steps += 1;
        self.context += decode_rows;
        while let Some(&Reverse((last_step, place))) = self.decoding.peek()
            && last_step == self.steps
        {
            self.decoding.pop();
            let row = &mut rows[place];
            self.context -= u64::from(row.prompt_tokens).max(1) + u64::from(row.output_tokens);
            row.completed_ns = Some(self.clock_ns);
        }
        let (clock_ns, steps) = (self.clock_ns, self.steps);
        self.prefilling.retain(|&(place, left)| {
            if left > 0 {
                return true;
            }
            let row = &mut rows[place];
            row.first_token_ns = Some(clock_ns);
            if row.output_tokens <= 1 {
                row.completed_ns = Some(clock_ns);
            } else {
                self.context += u64::from(row.prompt_tokens).max(1) + 1;
                let last_step = steps + u64::from(row.output_tokens) - 1;
                self.decoding.push(Reverse((last_step, place)));
            }
            false
        });
    }
}

impl System for Batching {
    fn submit(&mut self, place: usize, rows: &mut [Row]) {
        if self.is_idle() {
            self.clock_ns = self.clock_ns.max(rows[place].scheduled_ns.unwrap_or(0));
        }
        self.waiting.push_back(place);
    }

    fn work(&mut self, until_ns: i64, rows: &mut [Row]) {
        while self.clock_ns < until_ns && !self.is_idle() {
            self.step(rows);
        }
    }
}
