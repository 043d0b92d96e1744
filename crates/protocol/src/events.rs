//! What comes back.

use std::time::{Duration, Instant};

use crate::{RequestId, TokenId};

/// Why a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A stop token was generated; it is the last of the output tokens.
    Stop,
    /// `max_new_tokens` or the model's context was reached.
    Length,
    /// It was cancelled while it was open ([`crate::Generator::cancel`]): the tokens that came before this are all there is.
    Cancelled,
    /// The engine could not answer this request; the message is for people.
    Failed(String),
}

/// What one step did for one request.
#[derive(Clone, Debug, PartialEq)]
pub struct SeqOutput {
    /// Whose tokens these are.
    pub id: RequestId,
    /// How many tokens of [`StepOutputs::tokens`] are this request's: they follow those of the outputs before it.
    pub n_tokens: u32,
    /// Set on the last output of a request, exactly once.
    pub end: Option<End>,
    /// Which engine or server it is from, from 0; where a request moves on, that of its last output counts.
    pub engine: u16,
    /// With `want_logits`: f32 rows of vocabulary length for the positions that this step computed, in order.
    pub logits: Vec<f32>,
}

/// What became of the tokens that a draft head proposed for one request in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Whose.
    pub id: RequestId,
    /// Of the first drafted token in prompt and generated tokens.
    pub position: u32,
    /// In order; empty where there was no room for any.
    pub drafted: Vec<TokenId>,
    /// How many of the first of them the model chose itself.
    pub accepted: u32,
}

/// Everything that one engine step produced: one message per step, however many requests moved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepOutputs {
    /// All new tokens, flat, in the order of `outputs`.
    pub tokens: Vec<TokenId>,
    /// One entry per request that got tokens or ended.
    pub outputs: Vec<SeqOutput>,
    /// One per request that the step decoded by speculation; empty without.
    pub rounds: Vec<Round>,
    /// Time that the engine spent with the step, up to now; zero where there are no steps.
    pub took: Duration,
    /// When the engine had it; none where there are no steps. Others hear of it later, the later the busier the machine is.
    pub ended: Option<Instant>,
    /// Input tokens of the step, of prompts and of sequences that decode, with drafted ones.
    pub rows: u64,
    /// Those of `rows` that are tokens of prompts. A prompt's last token alone is not told from one that decodes.
    pub prefill_tokens: u64,
    /// Positions that the sequences that decode look back on, of all of them.
    pub context: u64,
    /// Which engine's step it was, from 0.
    pub engine: u16,
}

/// What the engine tells the thread that answers LoadGen.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A step was finished.
    Step(StepOutputs),
    /// The engine is dead, with the reason: no request that is open or still comes will be answered.
    Fatal(String),
}

/// Where events go. False: nobody listens any more, and the engine stops.
pub type Sink = Box<dyn FnMut(Event) -> bool + Send>;
