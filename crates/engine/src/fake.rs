//! An executor without a model, for tests and fault drills. Owns a pool of tokens instead of keys and values.
//!
//! It reads the context of every query back through the block tables that it is given, so a wrong table, a wrong start, a
//! block freed too early or shared by two sequences is an error or another token. What it reads is read again when the
//! step is waited for: nothing that a step in flight sees may change. The next token is a hash of what is seen, hence
//! [`FakeModel::answer`] can say what any schedule must produce.
//!
//! With `draft_tokens` it has a head too, which drafts what the model would choose, or something else, by a hash. The head
//! keeps what a real one does, at each position the token after it, and refuses to draft where one of them is missing or wrong.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use crate::executor::{
    BlockTable, Capacity, Draft, ExecError, Executor, InputToken, SampleSpec, StepHandle, StepPlan,
    StepSeq, StepTokens, accepted,
};
use crate::rng::RequestRng;
use ossmark_protocol::{End, Request, TokenId};

/// What goes wrong, and in which step (counted from 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `wait` returns an error.
    Fail(u64),
    /// `submit` panics.
    Panic(u64),
    /// `wait` never returns.
    Hang(u64),
    /// A sampled token is outside the vocabulary.
    BadToken(u64),
}

/// The function that the fake computes.
#[derive(Clone, Copy, Debug)]
pub struct FakeModel {
    /// Whose window, vocabulary and context count.
    pub capacity: Capacity,
}

impl FakeModel {
    /// A hash of what a query sees that comes after all of `context`: everything with full layers, else the window.
    fn state(&self, context: &[TokenId]) -> u64 {
        let seen = match self.capacity.window {
            Some(window) if !self.capacity.has_full => {
                &context[context.len().saturating_sub(window as usize)..]
            }
            _ => context,
        };
        seen.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &token| {
            mix(hash ^ u64::from(token))
        })
    }

    fn next_token(&self, context: &[TokenId], sample: &SampleSpec) -> TokenId {
        let mut hash = self.state(context);
        if sample.sampling.temperature > 0.0 {
            hash = mix(hash ^ u64::from(sample.uniform.to_bits()));
        }
        (hash >> 16) as TokenId % self.capacity.vocab_size
    }

    /// The logits after `context`.
    pub fn logits(&self, context: &[TokenId]) -> Vec<f32> {
        let base = (self.state(context) >> 44) as f32;
        (0..self.capacity.vocab_size)
            .map(|token| base + token as f32)
            .collect()
    }

    /// What a request must get, however it is scheduled.
    pub fn answer(&self, request: &Request, stop_tokens: &[TokenId]) -> (Vec<TokenId>, End) {
        let mut tokens = request.prompt.to_vec();
        let mut rng = RequestRng::new(request.seed);
        loop {
            let n = (tokens.len() - request.prompt.len()) as u32;
            let sample = SampleSpec {
                sampling: request.sampling,
                uniform: rng.of_tokens(n, 1).next().unwrap_or_default(),
            };
            let token = self.next_token(&tokens, &sample);
            tokens.push(token);
            let generated = tokens.len() - request.prompt.len();
            let full = generated == request.max_new_tokens as usize
                || tokens.len() == self.capacity.max_context as usize;
            let of_model = !request.ignore_eos && stop_tokens.contains(&token);
            let end = if of_model || request.stop_tokens.contains(&token) {
                End::Stop
            } else {
                End::Length
            };
            if full || end == End::Stop {
                return (tokens.split_off(request.prompt.len()), end);
            }
        }
    }
}

/// Finaliser of splitmix64.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Cell {
    sliding: bool,
    position: u32,
    token: TokenId,
}

struct Submitted {
    step: u64,
    plan: StepPlan,
    /// Per sequence, the tokens it saw.
    seen: Vec<Vec<TokenId>>,
    results: StepTokens,
}

/// What a head has of a position: the position, and the token after it.
type HeadCell = Option<(u32, TokenId)>;

/// See the module.
pub struct FakeExecutor {
    model: FakeModel,
    fault: Option<Fault>,
    step_time: Duration,
    cells: Vec<Option<Cell>>,
    /// The head's, in the same blocks.
    head: Vec<HeadCell>,
    /// Where the head may go on for each slot: the position after those that it has.
    head_ends: Vec<Option<u32>>,
    /// Step and token of each slot's last sample.
    slots: Vec<Option<(u64, TokenId)>>,
    steps: u64,
    in_flight: VecDeque<Submitted>,
}

impl FakeExecutor {
    /// With these limits, and this fault if any.
    pub fn new(capacity: Capacity, fault: Option<Fault>) -> Self {
        Self {
            model: FakeModel { capacity },
            fault,
            step_time: Duration::ZERO,
            cells: vec![None; capacity.n_blocks as usize * capacity.block_size as usize],
            head: vec![None; capacity.n_blocks as usize * capacity.block_size as usize],
            head_ends: vec![None; capacity.max_seqs as usize],
            slots: vec![None; capacity.max_seqs as usize],
            steps: 0,
            in_flight: VecDeque::new(),
        }
    }

    /// Makes every `wait` take this long.
    pub fn with_step_time(self, step_time: Duration) -> Self {
        Self { step_time, ..self }
    }

    fn cell(&self, table: &BlockTable, position: u32) -> Result<usize, ExecError> {
        let Capacity {
            block_size,
            n_blocks,
            ..
        } = self.model.capacity;
        let index = (position / block_size).checked_sub(table.first_block);
        match index.and_then(|i| table.blocks.get(i as usize)) {
            Some(&block) if block < n_blocks => {
                Ok(block as usize * block_size as usize + (position % block_size) as usize)
            }
            found => fail(format!(
                "position {position} has block {found:?} in {table:?} of a pool of {n_blocks}"
            )),
        }
    }

    fn groups<'a>(
        &self,
        seq: &'a StepSeq,
    ) -> impl Iterator<Item = (bool, &'a BlockTable)> + use<'a> {
        let full = self.model.capacity.has_full.then_some((false, &seq.full));
        let window = self.model.capacity.window.map(|_| (true, &seq.window));
        full.into_iter().chain(window)
    }

    fn check_limits(&self, plan: &StepPlan) -> Result<(), ExecError> {
        let Capacity {
            max_step_tokens,
            max_seqs,
            max_context,
            draft_tokens,
            ..
        } = self.model.capacity;
        let n_tokens: usize = plan
            .seqs
            .iter()
            .map(|seq| seq.inputs.len() + seq.verify.len())
            .sum();
        if plan.seqs.is_empty()
            || plan.seqs.len() > max_seqs as usize
            || n_tokens > max_step_tokens as usize
        {
            return fail(format!(
                "{} sequences with {n_tokens} tokens in a step of {max_seqs}, {max_step_tokens}",
                plan.seqs.len()
            ));
        }
        if self.in_flight.len() >= 2 {
            return fail("a third step in flight");
        }
        let (mut slots, mut blocks) = (HashSet::new(), HashSet::new());
        for seq in &plan.seqs {
            let end = seq.end();
            if seq.verify.len() > draft_tokens as usize
                || (!seq.verify.is_empty() && (seq.inputs.len() != 1 || seq.sample.is_none()))
            {
                return fail(format!("a span that cannot be: {seq:?}"));
            }
            if seq.inputs.is_empty() || end > u64::from(max_context) {
                return fail(format!(
                    "positions {}..{end} of a context of {max_context}",
                    seq.start
                ));
            }
            if seq.slot >= max_seqs || !slots.insert(seq.slot) {
                return fail(format!(
                    "slot {} is taken or not below {max_seqs}",
                    seq.slot
                ));
            }
            if let Some(block) = seq
                .full
                .blocks
                .iter()
                .chain(&seq.window.blocks)
                .find(|&&block| !blocks.insert(block))
            {
                return fail(format!("block {block} is in two tables"));
            }
        }
        Ok(())
    }

    fn write(&mut self, seq: &StepSeq) -> Result<(), ExecError> {
        let mut tokens = Vec::with_capacity(seq.inputs.len());
        for input in &seq.inputs {
            let token = match *input {
                InputToken::Known(token) => token,
                InputToken::FromPrevious(slot) => match self.slots.get(slot as usize) {
                    Some(&Some((step, token))) if step + 1 == self.steps => token,
                    found => {
                        return fail(format!(
                            "step {} takes slot {slot}'s token, which is {found:?}",
                            self.steps
                        ));
                    }
                },
            };
            tokens.push(token);
        }
        self.write_tokens(seq, seq.start, &tokens)
    }

    fn write_tokens(
        &mut self,
        seq: &StepSeq,
        start: u32,
        tokens: &[TokenId],
    ) -> Result<(), ExecError> {
        for (position, &token) in (start..).zip(tokens) {
            for (sliding, table) in self.groups(seq) {
                let cell = self.cell(table, position)?;
                self.cells[cell] = Some(Cell {
                    sliding,
                    position,
                    token,
                });
            }
        }
        Ok(())
    }

    /// What the head proposes behind `seen`: by a hash, the model's own choice or another token.
    fn draft(&mut self, seq: &StepSeq, seen: &[TokenId]) -> Result<Vec<TokenId>, ExecError> {
        let mut context = seen.to_vec();
        let Some(sample) = seq.sample.filter(|_| !seq.verify.is_empty()) else {
            return Ok(Vec::new());
        };
        if self.head_ends[seq.slot as usize] != Some(seq.start) {
            let end = self.head_ends[seq.slot as usize];
            return fail(format!(
                "slot {}'s head is at {end:?}, expected {}",
                seq.slot, seq.start
            ));
        }
        for position in 0..seq.start {
            let found = self.head[self.cell(&seq.full, position)?];
            if found != Some((position, seen[position as usize + 1])) {
                return fail(format!("the head has {found:?} at position {position}"));
            }
        }
        // The token after what the step before chose is chosen with this step's first number, and so on.
        let numbers = [sample.uniform]
            .into_iter()
            .chain(seq.verify.iter().copied());
        for uniform in numbers.take(seq.verify.len()) {
            let right = self
                .model
                .next_token(&context, &SampleSpec { uniform, ..sample });
            let wrong = mix(u64::from(right) ^ context.len() as u64).is_multiple_of(3);
            context.push((right + u32::from(wrong)) % self.model.capacity.vocab_size);
        }
        let drafted = context.split_off(seen.len());
        self.write_tokens(seq, seq.start + 1, &drafted)?;
        Ok(drafted)
    }

    /// Fills the head's part for the positions that stand. `tokens` are all up to the last one that stands, `next` comes after.
    fn fill_head(
        &mut self,
        seq: &StepSeq,
        tokens: &[TokenId],
        next: Option<TokenId>,
    ) -> Result<(), ExecError> {
        if self.model.capacity.draft_tokens == 0 {
            return Ok(());
        }
        let Some(next) = next else {
            return fail("the head is not told which token comes after a chunk");
        };
        let followers = tokens.iter().copied().chain([next]).skip(1);
        for (position, token) in (0..).zip(followers).skip(seq.start as usize) {
            let cell = self.cell(&seq.full, position)?;
            self.head[cell] = Some((position, token));
        }
        self.head_ends[seq.slot as usize] = seq.sample.map(|_| tokens.len() as u32);
        Ok(())
    }

    /// All that a sequence's queries up to `end` see, from the first visible position on.
    fn read(&self, seq: &StepSeq, end: u64) -> Result<Vec<TokenId>, ExecError> {
        let end = end as u32;
        let mut seen = Vec::new();
        for (sliding, table) in self.groups(seq) {
            let window = self
                .model
                .capacity
                .window
                .filter(|_| sliding)
                .unwrap_or(u32::MAX);
            let first = (seq.start + 1).saturating_sub(window);
            for position in first..end {
                match self.cells[self.cell(table, position)?] {
                    Some(cell) if cell.sliding == sliding && cell.position == position => {
                        if sliding
                            && self.model.capacity.has_full
                            && seen[position as usize] != cell.token
                        {
                            return fail(format!(
                                "position {position} differs between the layer groups"
                            ));
                        }
                        if !sliding || !self.model.capacity.has_full {
                            seen.push(cell.token);
                        }
                    }
                    found => {
                        return fail(format!(
                            "position {position} (sliding: {sliding}) holds {found:?}"
                        ));
                    }
                }
            }
        }
        Ok(seen)
    }

    fn at(&self, fault: fn(u64) -> Fault) -> bool {
        self.fault == Some(fault(self.steps))
    }
}

fn fail<T>(message: impl Into<String>) -> Result<T, ExecError> {
    Err(ExecError(message.into()))
}

impl Executor for FakeExecutor {
    fn capacity(&self) -> Capacity {
        self.model.capacity
    }

    fn submit(&mut self, plan: StepPlan) -> Result<StepHandle, ExecError> {
        self.steps += 1;
        assert!(
            !self.at(Fault::Panic),
            "fault drill: panic in step {}",
            self.steps
        );
        self.check_limits(&plan)?;
        for seq in &plan.seqs {
            self.write(seq)?;
        }
        let mut results = StepTokens::default();
        let mut all_seen = Vec::new();
        for seq in &plan.seqs {
            let known = self.read(seq, seq.end() - seq.verify.len() as u64)?;
            let drafted = self.draft(seq, &known)?;
            let seen = self.read(seq, seq.end())?;
            let mut chosen = Vec::new();
            if let Some(sample) = seq.sample {
                let numbers = [sample.uniform]
                    .into_iter()
                    .chain(seq.verify.iter().copied());
                for (n, uniform) in (known.len()..).zip(numbers) {
                    let sample = SampleSpec { uniform, ..sample };
                    chosen.push(self.model.next_token(&seen[..n], &sample));
                }
            }
            let stand = accepted(&drafted, &chosen);
            let mut token = chosen.get(stand).copied();
            self.fill_head(seq, &seen[..known.len() + stand], token.or(seq.next))?;
            if self.model.capacity.draft_tokens > 0 {
                results.drafts.push(Draft {
                    tokens: drafted,
                    accepted: stand as u32,
                });
            }
            if let Some(token) = &mut token {
                self.slots[seq.slot as usize] = Some((self.steps, *token));
                if self.at(Fault::BadToken) {
                    *token = self.model.capacity.vocab_size;
                }
            }
            results.tokens.push(token);
            let n = if seq.want_logits {
                seq.inputs.len() + seq.verify.len()
            } else {
                0
            };
            let rows = (0..n)
                .rev()
                .flat_map(|after| self.model.logits(&seen[..seen.len() - after]));
            results.logits.push(rows.collect());
            all_seen.push(seen);
        }
        self.in_flight.push_back(Submitted {
            step: self.steps,
            plan,
            seen: all_seen,
            results,
        });
        Ok(StepHandle(self.steps))
    }

    fn wait(&mut self, handle: StepHandle) -> Result<StepTokens, ExecError> {
        let Some(step) = self
            .in_flight
            .pop_front()
            .filter(|step| step.step == handle.0)
        else {
            return fail(format!("{handle:?} is not the oldest step in flight"));
        };
        match self.fault {
            Some(Fault::Fail(n)) if n == step.step => {
                return fail(format!("fault drill: error in step {n}"));
            }
            Some(Fault::Hang(n)) if n == step.step => loop {
                std::thread::park();
            },
            _ => std::thread::sleep(self.step_time),
        }
        for (seq, seen) in step.plan.seqs.iter().zip(&step.seen) {
            if self.read(seq, seq.end()).ok().as_ref() != Some(seen) {
                return fail(format!(
                    "slot {}'s blocks changed while step {} was in flight",
                    seq.slot, step.step
                ));
            }
        }
        Ok(step.results)
    }
}
