//! One request on its way to its tokens. Owns its tokens, blocks and random numbers; the scheduler decides what it does.
//! Used on the engine thread.

use crate::blocks::SeqBlocks;
use crate::executor::{InputToken, SampleSpec, SeqSlot, StepSeq};
use crate::in_flight::{InFlightSeq, SeqKey};
use crate::rng::RequestRng;
use ossmark_protocol::{End, Request, TokenId};

/// A request with its progress. It is waiting when it has no slot, else running.
pub(crate) struct Sequence {
    pub(crate) request: Request,
    /// Longest that it may become, prompt included.
    pub(crate) max_len: u32,
    /// Tokens that the host has seen.
    pub(crate) generated: Vec<TokenId>,
    /// Tokens that steps in flight will deliver. Kept over a preemption: such a step is valid and its token counts.
    pub(crate) pending: u32,
    /// Positions whose keys and values are written, those of steps in flight included.
    /// Of a span under way only what is sure: the last known token.
    pub(crate) computed: u32,
    pub(crate) blocks: SeqBlocks,
    pub(crate) slot: Option<SeqSlot>,
    /// The last step that had this sequence in it; 0 for none.
    pub(crate) last_step: u64,
    /// The step in flight that verifies drafted tokens: what comes after is not known before its results.
    pub(crate) span: Option<u64>,
    /// Whether its last step sampled, in the slot that it has: a draft head can go on from there.
    can_draft: bool,
    /// First position whose logits no step was asked for yet; recomputation does not ask again.
    next_logits: u32,
    rng: Option<RequestRng>,
}

impl Sequence {
    pub(crate) fn new(request: Request, max_len: u32) -> Self {
        Self {
            request,
            max_len,
            generated: Vec::new(),
            pending: 0,
            computed: 0,
            blocks: SeqBlocks::default(),
            slot: None,
            last_step: 0,
            span: None,
            can_draft: false,
            next_logits: 0,
            rng: None,
        }
    }

    /// Tokens that the host knows: prompt and generated.
    pub(crate) fn host_len(&self) -> u32 {
        (self.request.prompt.len() + self.generated.len()) as u32
    }

    /// Length with the tokens of steps in flight.
    pub(crate) fn len(&self) -> u32 {
        self.host_len() + self.pending
    }

    /// How many tokens could be put into the next step; 0 when its last token is already on its way.
    pub(crate) fn remaining_tokens(&self) -> u32 {
        if self.len() >= self.max_len || self.span.is_some() {
            0
        } else {
            self.len() - self.computed
        }
    }

    fn token(&self, position: u32) -> TokenId {
        let prompt = &self.request.prompt;
        let position = position as usize;
        prompt
            .get(position)
            .copied()
            .unwrap_or_else(|| self.generated[position - prompt.len()])
    }

    /// How many tokens may be drafted behind its last one, when an executor drafts up to `most`; none when that is not what
    /// its next step does. The token after the last drafted one is not drafted: it comes from the model anyway.
    pub(crate) fn draftable(&self, most: u32) -> Option<u32> {
        let decodes = most > 0 && self.can_draft && self.remaining_tokens() == 1;
        decodes.then(|| most.min(self.max_len - self.len() - 1))
    }

    /// Gives up all that was computed; its blocks and its slot are the scheduler's to take.
    pub(crate) fn restart(&mut self) {
        self.computed = 0;
        self.span = None;
        self.can_draft = false;
    }

    /// Takes in that step `step` has verified drafted tokens, and that `accepted` of them stand. True: it may go on from there.
    pub(crate) fn end_span(&mut self, step: u64, accepted: u32, with_logits: bool) -> bool {
        if with_logits {
            self.next_logits += accepted;
        }
        // Else it was preempted meanwhile, and is computed anew.
        let goes_on = self.span == Some(step);
        if goes_on {
            self.span = None;
            self.computed += accepted;
        }
        goes_on
    }

    /// Whether its last token, this one, is the end of it, and why. `stop_tokens` are the model's.
    pub(crate) fn end_after(&self, token: TokenId, stop_tokens: &[TokenId]) -> Option<End> {
        let of_model = !self.request.ignore_eos && stop_tokens.contains(&token);
        if of_model || self.request.stop_tokens.contains(&token) {
            Some(End::Stop)
        } else {
            (self.host_len() == self.max_len).then_some(End::Length)
        }
    }

    /// Puts the next `n` positions into step `step`, with `drafts` to be drafted and verified behind them if it is a round of
    /// speculation, and moves on as if it had run. The blocks must be there.
    pub(crate) fn advance(
        &mut self,
        key: SeqKey,
        slot: SeqSlot,
        n: u32,
        drafts: Option<u32>,
        step: u64,
    ) -> (StepSeq, InFlightSeq) {
        let (start, end, host) = (self.computed, self.computed + n, self.host_len());
        let input = |p| {
            if p < host {
                InputToken::Known(self.token(p))
            } else {
                InputToken::FromPrevious(slot)
            }
        };
        let inputs = (start..end).map(input).collect();
        let to_verify = drafts.unwrap_or(0);
        let mut verify = Vec::new();
        let sample = (end == self.len()).then(|| SampleSpec {
            sampling: self.request.sampling,
            uniform: self.draw(to_verify, &mut verify),
        });
        let want_logits = self.request.want_logits && end > self.next_logits;
        let in_flight = InFlightSeq {
            key,
            id: self.request.id,
            samples: sample.is_some(),
            drafts,
            start: end,
            rows: if want_logits { n + to_verify } else { 0 },
            skip_rows: self.next_logits.saturating_sub(start),
        };
        if want_logits {
            self.next_logits = end;
        }
        self.computed = end;
        self.pending += u32::from(sample.is_some());
        self.last_step = step;
        self.can_draft = sample.is_some();
        self.span = (to_verify > 0).then_some(step);
        let next = (end < host).then(|| self.token(end));
        let (full, window) = (self.blocks.full.clone(), self.blocks.window.clone());
        (
            StepSeq {
                slot,
                start,
                inputs,
                full,
                window,
                sample,
                next,
                verify,
                want_logits,
            },
            in_flight,
        )
    }

    /// The random number of the next token, and those of the tokens after it into `more`, one for each that is drafted.
    fn draw(&mut self, drafts: u32, more: &mut Vec<f32>) -> f32 {
        if self.request.sampling.temperature == 0.0 {
            more.resize(drafts as usize, 0.0);
            return 0.0;
        }
        let seed = self.request.seed;
        let rng = self.rng.get_or_insert_with(|| RequestRng::new(seed));
        let mut numbers = rng.of_tokens(self.generated.len() as u32 + self.pending, 1 + drafts);
        let first = numbers.next().unwrap_or_default();
        more.extend(numbers);
        first
    }
}
