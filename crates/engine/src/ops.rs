//! The device operations: the seam between the model and the hardware that computes it.
//!
//! `model::forward` is written once over this trait, so that two devices can disagree in one operation only. Rules for
//! every step operation:
//! - it does not allocate device memory, does not synchronise and returns nothing to the host; `Err` means that the
//!   device is lost;
//! - it works on the rows of the step given to [`Ops::begin`] (`n` below); whatever lies in a buffer's rows beyond `n` is
//!   neither read nor defined;
//! - a row's result does not depend on the other rows of the step, to the bit: reductions run in an order that
//!   depends on widths and positions alone. A device may have other kernels, with another order, from some number of rows
//!   on: then it holds among steps that the same kernels take.
//!
//! Rounding: sums are f32. With bf16 activations, every value an operation writes to a [`Ops::Buf`] or to the KV pool is
//! rounded to bf16 once, to nearest even, unless its doc says otherwise; with f32 activations nothing is rounded.
//! Hugging Face's eager bf16 code rounds at these points too, and inside operations as well; fewer roundings only bring
//! the result closer to f32. Weights are exact. The layout inside a buffer is the device's own affair.
//!
//! Used on the engine thread only.

use std::ops::Range;

use crate::batch::StepBatch;
use crate::config::LayerKind;
use crate::executor::{ExecError, StepHandle};
use crate::load_error::LoadError;
use crate::weights::{DenseTensor, ExpertSources, LinearSource};
use ossmark_protocol::TokenId;

/// What [`Ops::sample`] writes instead of a token when a row's logits are not all finite.
pub const BAD_LOGITS: TokenId = TokenId::MAX;

/// A layer's place in the KV pool: the `index`-th layer of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvLayer {
    /// Which block tables it uses, and what it sees.
    pub kind: LayerKind,
    /// Place in a block.
    pub index: usize,
}

/// What a step operation gives back.
pub type OpResult = Result<(), ExecError>;

/// A device that holds weights, activations, the KV pool, the step's metadata and the last token of each slot.
pub trait Ops: Send {
    /// Activations: `rows` x `cols`, one row per row of the step.
    type Buf: Send;
    /// A vector of weights.
    type Vector: Send;
    /// A matrix of weights `[out, in]` with an optional bias `[out]`.
    type Linear: Send + Sync;
    /// The experts of a layer, in MXFP4.
    type Experts: Send;
    /// Which experts the rows of the step go to, with which weight, and the experts' intermediate values.
    type Routing: Send;

    // Load time: these may allocate.

    /// Takes a vector.
    fn vector(&mut self, source: &DenseTensor) -> Result<Self::Vector, LoadError>;
    /// Takes a matrix.
    fn linear_weights(&mut self, source: &LinearSource) -> Result<Self::Linear, LoadError>;
    /// Takes a layer's experts.
    fn expert_weights(&mut self, source: &ExpertSources) -> Result<Self::Experts, LoadError>;
    /// Plans a buffer for up to `rows` rows.
    fn buf(&mut self, rows: usize, cols: usize) -> Result<Self::Buf, LoadError>;
    /// Plans the routing of up to `rows` rows.
    fn routing(&mut self, rows: usize) -> Result<Self::Routing, LoadError>;

    // A step's ends.

    /// Takes the step's metadata into fixed buffers. Two steps may be open: this one and the one before.
    fn begin(&mut self, batch: &StepBatch) -> OpResult;
    /// Takes note of what `work` launches for a decode step of `rows` rows (with a draft head: sequences), the one that was
    /// begun, so that [`Ops::replay`] can do it again. `work` depends on nothing but that number. Devices without such a
    /// thing do nothing.
    fn record(&mut self, _rows: usize, _work: &mut dyn FnMut(&mut Self) -> OpResult) -> OpResult {
        Ok(())
    }
    /// Forgets what was recorded.
    fn forget(&mut self) {}
    /// The smallest number of rows that was recorded and holds so many.
    fn recorded(&self, _rows: usize) -> Option<usize> {
        None
    }
    /// Does what was recorded for `rows` rows, for the step that was begun.
    fn replay(&mut self, rows: usize) -> OpResult {
        Err(ExecError(format!("no step of {rows} rows was recorded")))
    }
    /// Closes the step: its tokens can then be had by [`Ops::tokens`].
    fn end(&mut self, step: StepHandle) -> OpResult;
    /// Waits for a closed step, in order, and gives what [`Ops::sample`] chose, in the order of the step's logit rows; with a
    /// draft head, behind that the drafted tokens of all slots, by their place ([`crate::executor::TokenPlaces::drafted`]).
    fn tokens(&mut self, step: StepHandle) -> Result<Vec<TokenId>, ExecError>;
    /// Waits, and copies the first `rows` rows out as f32, row after row. For debugging and tests.
    fn read(&mut self, buf: &Self::Buf, rows: usize) -> Result<Vec<f32>, ExecError>;
    /// Waits, and fills the first rows from row-major values. For tests of single operations.
    fn write(&mut self, buf: &mut Self::Buf, values: &[f32]) -> OpResult;

    // Step operations.

    /// `out[r] = table[token of row r]`. A token that is not in the table (after [`BAD_LOGITS`]) reads row 0.
    fn embed(&mut self, table: &Self::Linear, out: &mut Self::Buf) -> OpResult;

    /// `out = x / sqrt(mean(x^2) + eps) * weight`, all in f32, rounded once at the end. Works on the first `rows` rows.
    fn rmsnorm(
        &mut self,
        x: &Self::Buf,
        weight: &Self::Vector,
        rows: usize,
        out: &mut Self::Buf,
    ) -> OpResult;

    /// `x += delta`: the residual stream, rounded.
    fn add(&mut self, x: &mut Self::Buf, delta: &Self::Buf) -> OpResult;

    /// [`Ops::add`], then [`Ops::rmsnorm`] of the rounded sum, for all rows of the step.
    fn add_rmsnorm(
        &mut self,
        x: &mut Self::Buf,
        delta: &Self::Buf,
        weight: &Self::Vector,
        rows: usize,
        out: &mut Self::Buf,
    ) -> OpResult {
        self.add(x, delta)?;
        self.rmsnorm(x, weight, rows, out)
    }

    /// `out = x W^T + b` on the first `rows` rows, rounded once after the bias.
    fn linear(
        &mut self,
        x: &Self::Buf,
        w: &Self::Linear,
        rows: usize,
        out: &mut Self::Buf,
    ) -> OpResult;

    /// Rotates the q and k heads of `qkv` in place (NeoX halves, YaRN, see [`crate::rope::Rope`]). Angle, cosine and
    /// sine in f32; rounded once.
    fn rope(&mut self, qkv: &mut Self::Buf) -> OpResult;

    /// Copies the k and v heads of `qkv` to their positions in the KV pool. Exact, unless the pool keeps e4m3: then
    /// rounded to nearest even, and held within ±448.
    fn kv_write(&mut self, qkv: &Self::Buf, layer: KvLayer) -> OpResult;

    /// [`Ops::rope`] and [`Ops::kv_write`]; afterwards the k heads of `qkv` are not defined.
    fn rope_kv(&mut self, qkv: &mut Self::Buf, layer: KvLayer) -> OpResult {
        self.rope(qkv)?;
        self.kv_write(qkv, layer)
    }

    /// `out[r, h] = softmax([q_h k^T / sqrt(head_dim), sink_h]) v` without the sink's column, over the positions that
    /// row `r` sees in the pool, its own included; query head `h` reads kv head `h / (heads / kv_heads)`. Scores and
    /// probabilities stay f32; the result is rounded.
    fn attention(
        &mut self,
        qkv: &Self::Buf,
        layer: KvLayer,
        sinks: &Self::Vector,
        out: &mut Self::Buf,
    ) -> OpResult;

    /// Picks the `top_k` largest of each row's router logits (the lower expert of equals) and their softmax, which
    /// stays f32, and groups the rows by expert.
    fn route(&mut self, logits: &Self::Buf, routing: &mut Self::Routing) -> OpResult;

    /// [`Ops::linear`] and [`Ops::route`].
    fn router(
        &mut self,
        x: &Self::Buf,
        w: &Self::Linear,
        rows: usize,
        logits: &mut Self::Buf,
        routing: &mut Self::Routing,
    ) -> OpResult {
        self.linear(x, w, rows, logits)?;
        self.route(logits, routing)
    }

    /// For each row and each of its experts: `gate, up` = interleaved rows of `x W1^T + b1` (rounded), `gate` at most
    /// `limit`, `up` within `±limit`, `gate * sigmoid(1.702 gate) * (up + 1)` (rounded), kept in `routing`.
    fn moe_gate_up(
        &mut self,
        x: &Self::Buf,
        w: &Self::Experts,
        routing: &mut Self::Routing,
    ) -> OpResult;

    /// `out = sum over the row's experts, best first, of weight * (h W2^T + b2)`: each product with its bias rounded,
    /// the weighted sum in f32 and rounded once.
    fn moe_down(
        &mut self,
        routing: &mut Self::Routing,
        w: &Self::Experts,
        out: &mut Self::Buf,
    ) -> OpResult;

    /// Copies the step's logit rows `logit_rows` to the first rows of `out`. Exact.
    fn gather_rows(
        &mut self,
        x: &Self::Buf,
        logit_rows: Range<usize>,
        out: &mut Self::Buf,
    ) -> OpResult;

    /// Chooses a token for those of the step's logit rows `logit_rows` that ask for one, from the first rows of `logits`, and
    /// keeps it at its place. Greedy: the largest logit, the lowest id of equals. Otherwise the weights are
    /// `exp((logit - max) / temperature)`; top-k keeps the k largest, then top-p the smallest set of the largest whose
    /// share of what top-k kept reaches p (lower ids first among equals); the token is where the running sum of the
    /// kept weights, in vocabulary order over fixed blocks of [`SAMPLE_BLOCK`] ids, passes `uniform * total`.
    fn sample(&mut self, logits: &Self::Buf, logit_rows: Range<usize>) -> OpResult;
}

/// What a draft head computes besides. It has operations of its own, for it differs from its model in shape, rotary embedding
/// and pool, which keep their tokens where the model's do. A step takes several passes of the head, whose metadata are given
/// at once; nothing here waits for the device.
pub trait DraftOps: Ops {
    /// The head's tokens as the model's.
    type TokenTable: Send;
    /// What [`DraftOps::draft`] keeps between launches.
    type Guesses: Send;

    /// A vector of `heads` sinks for [`Ops::attention`] that change nothing.
    fn no_sinks(&mut self, heads: usize) -> Result<Self::Vector, LoadError>;
    /// Takes the model's token for each of the head's.
    fn token_table(&mut self, tokens: &[TokenId]) -> Result<Self::TokenTable, LoadError>;
    /// Plans the guesses of up to `rows` rows among `vocab` tokens.
    fn guesses(&mut self, rows: usize, vocab: usize) -> Result<Self::Guesses, LoadError>;

    /// Takes the metadata of a step's passes of the head, instead of [`Ops::begin`].
    fn begin_passes(&mut self, passes: &[StepBatch]) -> OpResult;
    /// From here on works on this one of them.
    fn enter_pass(&mut self, number: usize) -> OpResult;

    /// Copies the step's rows of `from` to the same rows of `to`, there from `column` on. Exact.
    fn copy_columns(&mut self, from: &Self::Buf, to: &mut Self::Buf, column: usize) -> OpResult;

    /// Copies what is kept in `states` for the slot of each row's sequence to that row. Exact.
    fn gather_states(&mut self, states: &Self::Buf, out: &mut Self::Buf) -> OpResult;

    /// `out = gate * sigmoid(gate) * up`, where a row of `gate_up` is all of `gate`, then all of `up`; rounded once.
    fn silu_mul(&mut self, gate_up: &Self::Buf, out: &mut Self::Buf) -> OpResult;

    /// Drafts token `number` of each row's sequence: the id of the largest element of the row's [`Ops::linear`], the lowest of
    /// equals, as the model's; or [`BAD_LOGITS`].
    fn draft(
        &mut self,
        x: &Self::Buf,
        w: &Self::Linear,
        table: Option<&Self::TokenTable>,
        number: usize,
        guesses: &mut Self::Guesses,
    ) -> OpResult;

    /// Waits, and gives the largest element of each of the first `rows` rows' [`Ops::linear`], rounded. For checks of `draft`.
    fn largest(
        &mut self,
        x: &Self::Buf,
        w: &Self::Linear,
        rows: usize,
        guesses: &mut Self::Guesses,
    ) -> Result<Vec<f32>, ExecError>;

    /// For each sequence that a token is chosen for: finds how many of its drafted tokens stand, keeps what was chosen behind
    /// them as its slot's last token, and the row of `x` behind them in the slot's row of `states`.
    fn accept(&mut self, x: &Self::Buf, states: &mut Self::Buf) -> OpResult;
}

/// Ids in a block of [`Ops::sample`]'s running sums.
pub const SAMPLE_BLOCK: usize = 1024;
