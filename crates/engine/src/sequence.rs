//! One request on its way to its tokens. Owns its tokens, blocks and random numbers; the scheduler decides what it does.
//! Used on the engine thread.

use crate::blocks::SeqBlocks;
use crate::executor::{InputToken, SampleSpec, SeqSlot, StepSeq};
use crate::in_flight::{InFlightSeq, SeqKey};
use crate::rng::RequestRng;
use ossmark_protocol::{Request, TokenId};

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
    pub(crate) computed: u32,
    pub(crate) blocks: SeqBlocks,
    pub(crate) slot: Option<SeqSlot>,
    /// The last step that had this sequence in it; 0 for none.
    pub(crate) last_step: u64,
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
        if self.len() >= self.max_len {
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

    /// Puts the next `n` positions into step `step` and moves on as if it had run. The blocks must be there.
    pub(crate) fn advance(
        &mut self,
        key: SeqKey,
        slot: SeqSlot,
        n: u32,
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
        let sample = (end == self.len()).then(|| SampleSpec {
            sampling: self.request.sampling,
            uniform: self.draw(),
        });
        let want_logits = self.request.want_logits && end > self.next_logits;
        let in_flight = InFlightSeq {
            key,
            id: self.request.id,
            samples: sample.is_some(),
            rows: if want_logits { n } else { 0 },
            skip_rows: self.next_logits.saturating_sub(start),
        };
        if want_logits {
            self.next_logits = end;
        }
        self.computed = end;
        self.pending += u32::from(sample.is_some());
        self.last_step = step;
        let (full, window) = (self.blocks.full.clone(), self.blocks.window.clone());
        (
            StepSeq {
                slot,
                start,
                inputs,
                full,
                window,
                sample,
                want_logits,
            },
            in_flight,
        )
    }

    fn draw(&mut self) -> f32 {
        if self.request.sampling.temperature == 0.0 {
            return 0.0;
        }
        let seed = self.request.seed;
        self.rng
            .get_or_insert_with(|| RequestRng::new(seed))
            .uniform()
    }
}
