//! What goes into the engine and what comes out of it. Owns no behaviour; every thread may use these.

use std::sync::Arc;

/// A token id: an index into the model's vocabulary.
pub type TokenId = u32;

/// Names a request to and from the engine. Dense: the submitter counts up from zero within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f32,
    /// Keep the smallest set of tokens whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Keep this many most probable tokens; 0 keeps all.
    pub top_k: u32,
}

impl Sampling {
    /// The most probable token, the lowest id of equals.
    pub const GREEDY: Self = Self {
        temperature: 0.0,
        top_p: 1.0,
        top_k: 0,
    };
}

/// One prompt to continue.
#[derive(Clone, Debug)]
pub struct Request {
    /// Comes back in every [`SeqOutput`] of this request.
    pub id: RequestId,
    /// The prompt's tokens, at least one.
    pub prompt: Arc<[TokenId]>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Seeds this request's Mersenne Twister: its random numbers depend on nothing else. Whoever has none of its own takes one
    /// from [`request_seed`].
    pub seed: u64,
    /// At most this many tokens are generated, at least one.
    pub max_new_tokens: u32,
    /// Also return the logits after every position of the sequence (for debugging; slow).
    pub want_logits: bool,
}

/// The highest seed that every server takes: their APIs have a signed number of 64 bits, some without its negative half.
pub const MOST_SEED: u64 = i64::MAX as u64;

/// The seed of request `number` of a run: a fixed, well spread function of both, so that a run can be repeated and no two of its
/// requests share random numbers. At most [`MOST_SEED`], so that nobody on the way to an engine has to change it.
pub fn request_seed(run_seed: u64, number: u64) -> u64 {
    (run_seed ^ number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)) & MOST_SEED
}

/// Why a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A stop token was generated; it is the last of the output tokens.
    Stop,
    /// `max_new_tokens` or the model's context was reached.
    Length,
    /// It was cancelled while it was open (`Engine::cancel`): the tokens that came before this are all there is.
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
    /// With `want_logits`: f32 rows of vocabulary length for the positions that this step computed, in order.
    pub logits: Vec<f32>,
}

/// Everything that one engine step produced: one message per step, however many requests moved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepOutputs {
    /// All new tokens, flat, in the order of `outputs`.
    pub tokens: Vec<TokenId>,
    /// One entry per request that got tokens or ended.
    pub outputs: Vec<SeqOutput>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_of_a_run_share_a_seed_runs_differ_and_every_server_takes_it() {
        let highest = [7, 8, u64::MAX, 1 << 63].map(|run| {
            let seeds = || (0..10_000).map(move |number| request_seed(run, number));
            let distinct: std::collections::HashSet<u64> = seeds().collect();
            assert_eq!(distinct.len(), 10_000);
            assert!(seeds().eq(seeds()), "a run can be repeated");
            assert!(seeds().all(|seed| i64::try_from(seed).is_ok()));
            seeds().max()
        });
        assert_ne!(highest[0], highest[1]);
        // What HTTP servers were sent before: their answers stay.
        assert_eq!(request_seed(1, 0), 0x1E37_79B9_7F4A_7C14);
    }
}
