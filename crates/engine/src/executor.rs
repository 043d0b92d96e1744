//! The seam between the scheduler and whatever computes a step. Owns the plan's types only; used on the engine thread.
//!
//! The scheduler decides (`StepPlan`), an executor computes (`submit`, `wait`), the engine interprets (`StepTokens`).
//! Two steps may be in flight: an input token that the step before has not yet delivered to the host is
//! `FromPrevious`, and is resolved where the step runs.
//!
//! An executor with a draft head guesses tokens and verifies them: a step may then carry a span, the last known token and
//! `StepSeq::verify` drafted ones behind it, and keep the longest prefix that is what the model itself chooses there.

use ossmark_protocol::{Sampling, TokenId};

/// One of the fixed places for running sequences; the device keeps the last sampled token of each.
pub type SeqSlot = u32;
/// One block of the KV pool. A block holds `block_size` positions of all layers of one layer group.
pub type BlockId = u32;

/// A token to run through the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputToken {
    /// The host knows it.
    Known(TokenId),
    /// What the previous step sampled for this slot; inside an executor any of its [`TokenPlaces`].
    FromPrevious(SeqSlot),
}

/// The blocks of one layer group of one sequence. Position `p` is in `blocks[p / block_size - first_block]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockTable {
    /// How many leading logical blocks have been freed (always 0 for full attention).
    pub first_block: u32,
    /// The blocks from there on.
    pub blocks: Vec<BlockId>,
}

/// How to choose a sequence's next token in this step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleSpec {
    /// The request's parameters.
    pub sampling: Sampling,
    /// Uniform in [0, 1), drawn on the host from the request's Mersenne Twister; unused when greedy.
    pub uniform: f32,
}

/// What one sequence does in a step: `inputs.len()` consecutive positions from `start`, and those of `verify`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepSeq {
    /// Where its sampled token is kept for `FromPrevious`.
    pub slot: SeqSlot,
    /// Position of the first input token.
    pub start: u32,
    /// At least one.
    pub inputs: Vec<InputToken>,
    /// Blocks of the full-attention layers, covering positions `0 .. start + inputs.len() + verify.len()`.
    pub full: BlockTable,
    /// Blocks of the sliding-window layers, covering at least every position visible from `start` on.
    pub window: BlockTable,
    /// Set when the last input is the last known token: choose the next one.
    pub sample: Option<SampleSpec>,
    /// For a draft head, which pairs each position with the token after it: the one after `inputs`, where it is not sampled.
    pub next: Option<TokenId>,
    /// One for each token that the executor is to draft behind `inputs` and to verify: the uniform number of the position
    /// after it, as in [`SampleSpec`]. Only with `sample`; at most [`Capacity::draft_tokens`].
    pub verify: Vec<f32>,
    /// Return the logits of every position, drafted ones included.
    pub want_logits: bool,
}

/// One step of the model over a mixed batch: prefill chunks and single decode tokens side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepPlan {
    /// Never empty when submitted.
    pub seqs: Vec<StepSeq>,
}

/// Names a submitted step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepHandle(pub u64);

impl StepSeq {
    /// The position after its last one.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::from(self.start) + (self.inputs.len() + self.verify.len()) as u64
    }
}

/// What became of the tokens that were drafted for one sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// As many as the plan asked for.
    pub tokens: Vec<TokenId>,
    /// How many of the first of them are what the model itself chose there: they precede the sampled token.
    pub accepted: u32,
}

impl Draft {
    /// Those that precede the sampled token.
    #[must_use]
    pub fn accepted_tokens(&self) -> &[TokenId] {
        &self.tokens[..self.accepted as usize]
    }
}

/// How many of the first drafted tokens stand: those that are what was chosen at their positions. `chosen` has one more, the
/// choice after the last of them. The one rule of acceptance, greedy or not: each position is sampled with its own random
/// number, so what is kept is what plain decoding would have given.
#[must_use]
pub fn accepted(drafted: &[TokenId], chosen: &[TokenId]) -> usize {
    drafted
        .iter()
        .zip(chosen)
        .take_while(|(d, c)| d == c)
        .count()
}

/// What a step sampled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepTokens {
    /// One per sequence of the plan, in its order; `None` where the plan asked for no sample. The token after the last input,
    /// or after the last drafted token that was accepted.
    pub tokens: Vec<Option<TokenId>>,
    /// One per sequence where the executor drafts, else none at all.
    pub drafts: Vec<Draft>,
    /// One per sequence: f32 rows of vocabulary length, empty unless asked for.
    pub logits: Vec<Vec<f32>>,
}

/// The KV pool and the limits that a plan must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Blocks in the pool, shared by both layer groups.
    pub n_blocks: u32,
    /// Positions in a block.
    pub block_size: u32,
    /// Window of the sliding layers: a query sees itself and `window - 1` positions before it. `None`: no sliding layers.
    pub window: Option<u32>,
    /// False: no full-attention layers, so no blocks are needed for them.
    pub has_full: bool,
    /// Most input tokens in a step.
    pub max_step_tokens: u32,
    /// Most sequences in a step, and the number of slots.
    pub max_seqs: u32,
    /// Longest sequence, prompt and generated tokens together.
    pub max_context: u32,
    /// Token ids are below this.
    pub vocab_size: u32,
    /// Most tokens that it drafts and verifies for a sequence in a step; 0 without a draft head. A head keeps its keys and
    /// values in the blocks of the full-attention layers, so `has_full` is true with one.
    pub draft_tokens: u32,
}

/// Where a device keeps tokens that it goes on from without the host: the last one of each slot, at the slot's own number;
/// behind those, where there is a draft head, what was drafted for it and what the model chose at its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenPlaces {
    pub(crate) seqs: u32,
    pub(crate) drafts: u32,
}

impl TokenPlaces {
    /// For executors of this capacity.
    #[must_use]
    pub fn new(capacity: &Capacity) -> Self {
        Self {
            seqs: capacity.max_seqs,
            drafts: capacity.draft_tokens,
        }
    }

    /// The slot's drafted token `number`, counted from 0.
    #[must_use]
    pub fn draft(&self, slot: SeqSlot, number: u32) -> SeqSlot {
        self.seqs + slot * self.drafts + number
    }

    /// What the model chose after the slot's last known token (0), and after each drafted one. Without a head there is one
    /// choice, the last token.
    #[must_use]
    pub fn choice(&self, slot: SeqSlot, number: u32) -> SeqSlot {
        match self.drafts {
            0 => slot,
            drafts => self.seqs * (1 + drafts) + slot * (1 + drafts) + number,
        }
    }

    /// All places.
    #[must_use]
    pub fn count(&self) -> usize {
        match self.drafts {
            0 => self.seqs as usize,
            drafts => self.seqs as usize * 2 * (1 + drafts as usize),
        }
    }

    /// Those of drafted tokens.
    #[must_use]
    pub fn drafted(&self) -> std::ops::Range<usize> {
        let (seqs, drafts) = (self.seqs as usize, self.drafts as usize);
        seqs..seqs * (1 + drafts)
    }
}

/// Something that runs steps: the model runner on a device, or a fake in scheduler tests.
pub trait Executor: Send {
    /// Fixed for the executor's life.
    fn capacity(&self) -> Capacity;
    /// Starts a step. At most two are in flight; the CPU computes in here.
    fn submit(&mut self, plan: StepPlan) -> Result<StepHandle, ExecError>;
    /// Waits for a step, in the order of submission.
    fn wait(&mut self, step: StepHandle) -> Result<StepTokens, ExecError>;
}

/// The device or the model failed: nothing that is open can be answered.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ExecError(pub String);

impl ExecError {
    /// Steps are waited for in the order in which they were submitted; this one was not the next.
    pub(crate) fn out_of_order(step: StepHandle) -> Self {
        Self(format!("step {} was waited for out of order", step.0))
    }
}
