//! A step's metadata on the device: one pinned buffer, one copy, fixed places. Mirrors `kernels/include/step.h`.

use std::sync::Arc;

use super::attention::splits::{plan_kv_splits, rows_of_short};
use super::driver::{Device, Event, Memory, Pinned, load_failed};
use crate::batch::{Stand, StepBatch, TableRef};
use crate::executor::{Capacity, ExecError, InputToken, StepHandle, TokenPlaces};
use crate::load_error::LoadError;
use crate::ops::OpResult;
use ossmark_protocol::TokenId;

/// An input token with this bit is the last sampled one of the slot in the other bits.
const FROM_SLOT: u32 = 1 << 31;
const NO_SAMPLE: u32 = u32::MAX;
/// Words of `SeqMeta` and of `LogitRowMeta`.
const SEQ: usize = 12;
const LOGIT_ROW: usize = 8;

/// Words between two parts that are not copied with them: there is room for the logits of all rows, 128 KiB of a step of 4,096,
/// and a decode step has few. A copy costs some microseconds, in which 16 KiB and more are on their way.
const WORTH_A_COPY: usize = 4096;

/// Of a sequence that no token is chosen for, and of one whose drafts are compared with what was chosen.
const STAND_NOTHING: u32 = u32::MAX;
const STAND_CHOSEN: u32 = u32::MAX - 1;

/// The number of rows that are there for themselves, padded to 16 bytes; then the input tokens.
const TOKENS: usize = 4;

/// First words of the parts, the last of which is as long as the step needs.
#[derive(Clone, Copy)]
struct Layout {
    positions: usize,
    seq_of_row: usize,
    split_at: usize,
    seqs: usize,
    logit_rows: usize,
    blocks: usize,
    words: usize,
}

struct StagingBuffer {
    metadata: Pinned,
    tokens: Pinned,
    /// When the tokens are there and the metadata may be filled in again.
    done: Event,
}

/// Metadata of the step that is being launched, and the tokens of those that still run.
pub(super) struct Step {
    device: Memory,
    /// By their places; a model's and its head's are the same.
    tokens: Arc<Memory>,
    places: TokenPlaces,
    sampled: Memory,
    layout: Layout,
    buffers: [StagingBuffer; 2],
    current: usize,
    n_sampled: usize,
    ended: std::collections::VecDeque<(StepHandle, usize, usize)>,
    /// Of the current step.
    pub(super) rows: usize,
    pub(super) seqs: usize,
    pub(super) logit_rows: usize,
    pub(super) max_context: usize,
    /// Fewest and most rows of a sequence of the current step.
    pub(super) rows_of_seqs: (usize, usize),
    /// First row and number of rows of each.
    seq_rows: Vec<(usize, usize)>,
    /// Whether rows are there to fill it up, which belong to no sequence.
    is_filled_up: bool,
}

impl Step {
    /// `tokens`: where another step's metadata keep them, if they share them.
    pub(super) fn new(
        device: &Device,
        capacity: &Capacity,
        tokens: Option<Arc<Memory>>,
    ) -> Result<Self, LoadError> {
        let places = TokenPlaces::new(capacity);
        let (rows, seqs) = (
            capacity.max_step_tokens as usize,
            capacity.max_seqs as usize,
        );
        // Whole groups of four words, so that every part begins at a multiple of 16 bytes.
        let padded = |n: usize| n.next_multiple_of(4);
        let positions = TOKENS + padded(rows);
        let seq_of_row = positions + padded(rows);
        let split_at = seq_of_row + padded(rows);
        let seqs_at = split_at + padded(rows);
        let logit_rows = seqs_at + seqs * SEQ;
        let blocks = logit_rows + rows * LOGIT_ROW;
        // A block belongs to one sequence.
        let words = blocks + capacity.n_blocks as usize;
        let layout = Layout {
            positions,
            seq_of_row,
            split_at,
            seqs: seqs_at,
            logit_rows,
            blocks,
            words,
        };
        let most_sampled = seqs * (1 + capacity.draft_tokens as usize);
        let buffer = || {
            Ok::<_, LoadError>(StagingBuffer {
                metadata: device.pinned(words)?,
                tokens: device.pinned(most_sampled + places.drafted().len())?,
                done: device.event()?,
            })
        };
        let tokens = match tokens {
            Some(tokens) => tokens,
            None => {
                let tokens = device.memory("the last tokens", places.count() * 4)?;
                device.fill(&tokens, 0).map_err(load_failed)?;
                Arc::new(tokens)
            }
        };
        Ok(Self {
            device: device.memory("the step's metadata", words * 4)?,
            tokens,
            places,
            sampled: device.memory("the step's tokens", most_sampled * 4)?,
            layout,
            buffers: [buffer()?, buffer()?],
            current: 0,
            n_sampled: 0,
            ended: std::collections::VecDeque::new(),
            rows: 0,
            seqs: 0,
            logit_rows: 0,
            max_context: capacity.max_context as usize,
            rows_of_seqs: (0, 0),
            seq_rows: Vec::new(),
            is_filled_up: false,
        })
    }

    /// Takes a step's metadata.
    pub(super) fn begin(&mut self, device: &Device, batch: &StepBatch) -> OpResult {
        let l = self.layout;
        if l.blocks + batch.blocks.len() > l.words
            || batch.logit_rows.len() > (l.blocks - l.logit_rows) / LOGIT_ROW
            || batch.seqs.len() > (l.logit_rows - l.seqs) / SEQ
        {
            return Err(ExecError(format!(
                "impossible step: {} blocks, {} logit rows and {} sequences, more than there are",
                batch.blocks.len(),
                batch.logit_rows.len(),
                batch.seqs.len()
            )));
        }
        self.current = 1 - self.current;
        let buffer = &mut self.buffers[self.current];
        // The step before last. The engine has waited for it already, unless a step failed half way.
        device.wait(&buffer.done)?;
        let words = buffer.metadata.words();
        words[0] = (batch.rows() - batch.padding) as u32;
        for (w, input) in words[TOKENS..].iter_mut().zip(&batch.tokens) {
            *w = match *input {
                InputToken::Known(id) => id,
                InputToken::FromPrevious(slot) => FROM_SLOT | slot,
            };
        }
        words[l.positions..][..batch.rows()].copy_from_slice(&batch.positions);
        words[l.seq_of_row..][..batch.rows()].copy_from_slice(&batch.seq_of_row);
        plan_kv_splits(&batch.positions, &mut words[l.split_at..][..batch.rows()]);
        for (words, s) in words[l.seqs..].chunks_exact_mut(SEQ).zip(&batch.seqs) {
            let (
                TableRef {
                    offset: full,
                    first_block: full_first,
                    ..
                },
                window,
            ) = (s.full, s.window);
            words.copy_from_slice(&[
                s.first_row,
                s.rows,
                s.start,
                full,
                full_first,
                window.offset,
                window.first_block,
                s.slot,
                s.drafts,
                match s.stand {
                    Stand::Nothing => STAND_NOTHING,
                    Stand::Chosen => STAND_CHOSEN,
                    Stand::Given(n) => n.min(s.drafts),
                },
                0,
                0,
            ]);
        }
        self.n_sampled = 0;
        for (words, h) in words[l.logit_rows..]
            .chunks_exact_mut(LOGIT_ROW)
            .zip(&batch.logit_rows)
        {
            let mut meta = [h.row, NO_SAMPLE, 0, 0, 0, 0, 0, 0];
            if let Some((place, spec)) = h.sample {
                let s = spec.sampling;
                meta[1..7].copy_from_slice(&[
                    self.n_sampled as u32,
                    place,
                    s.top_k,
                    s.temperature.to_bits(),
                    s.top_p.to_bits(),
                    spec.uniform.to_bits(),
                ]);
                self.n_sampled += 1;
            }
            words.copy_from_slice(&meta);
        }
        words[l.blocks..][..batch.blocks.len()].copy_from_slice(&batch.blocks);
        (self.rows, self.seqs) = (batch.rows(), batch.seqs.len());
        self.logit_rows = batch.logit_rows.len();
        let seqs = batch.seqs.iter();
        self.seq_rows.clear();
        self.seq_rows
            .extend(seqs.map(|s| (s.first_row as usize, s.rows as usize)));
        self.is_filled_up = batch.padding > 0;
        let rows = batch.seqs.iter().map(|s| s.rows as usize);
        self.rows_of_seqs = (rows.clone().min().unwrap_or(0), rows.max().unwrap_or(0));
        let used = l.logit_rows + batch.logit_rows.len() * LOGIT_ROW;
        let end = l.blocks + batch.blocks.len();
        let (metadata, to) = (&mut buffer.metadata, &self.device);
        if l.blocks - used < WORTH_A_COPY {
            return device.upload_range(metadata, 0..end * 4, to);
        }
        device.upload_range(metadata, 0..used * 4, to)?;
        device.upload_range(metadata, l.blocks * 4..end * 4, to)
    }

    /// Rows up to the last one of a sequence with fewer than `below`; all where any fill the step up: what is recorded so has
    /// to do for any sequences.
    pub(super) fn rows_of_short(&self, below: usize) -> usize {
        match self.is_filled_up {
            true => self.rows,
            false => rows_of_short(&self.seq_rows, below),
        }
    }

    /// Where nobody calls [`Step::end`]: the metadata may be filled in again once they are on the device.
    pub(super) fn end_pass(&self, device: &Device) -> OpResult {
        device.record(&self.buffers[self.current].done)
    }

    /// Starts the copy of the step's tokens to the host, and of drafted ones behind them.
    pub(super) fn end(&mut self, device: &Device, step: StepHandle) -> OpResult {
        let buffer = &mut self.buffers[self.current];
        let n = self.n_sampled;
        device.download(&self.sampled, 0..n, &mut buffer.tokens, 0)?;
        device.download(&self.tokens, self.places.drafted(), &mut buffer.tokens, n)?;
        device.record(&buffer.done)?;
        self.ended.push_back((step, self.current, self.n_sampled));
        Ok(())
    }

    /// Waits for a step's tokens.
    pub(super) fn tokens(
        &mut self,
        device: &Device,
        step: StepHandle,
    ) -> Result<Vec<TokenId>, ExecError> {
        let Some((_, index, n)) = self.ended.pop_front().filter(|(ended, ..)| *ended == step)
        else {
            return Err(ExecError::out_of_order(step));
        };
        let buffer = &mut self.buffers[index];
        device.wait(&buffer.done)?;
        Ok(buffer.tokens.words()[..n + self.places.drafted().len()].to_vec())
    }

    fn word(&self, at: usize) -> u64 {
        self.device.at() + at as u64 * 4
    }

    pub(super) fn n_rows(&self) -> u64 {
        self.word(0)
    }
    pub(super) fn tokens_at(&self) -> u64 {
        self.word(TOKENS)
    }
    pub(super) fn positions(&self) -> u64 {
        self.word(self.layout.positions)
    }
    pub(super) fn seq_of_row(&self) -> u64 {
        self.word(self.layout.seq_of_row)
    }
    pub(super) fn split_at(&self) -> u64 {
        self.word(self.layout.split_at)
    }
    pub(super) fn places(&self) -> TokenPlaces {
        self.places
    }
    pub(super) fn seqs_at(&self) -> u64 {
        self.word(self.layout.seqs)
    }
    /// From logit row `first` on.
    pub(super) fn logit_rows_from(&self, first: usize) -> u64 {
        self.word(self.layout.logit_rows + first * LOGIT_ROW)
    }
    pub(super) fn blocks(&self) -> u64 {
        self.word(self.layout.blocks)
    }
    pub(super) fn tokens_memory(&self) -> &Arc<Memory> {
        &self.tokens
    }
    /// [`TokenPlaces`] from 0 on.
    pub(super) fn token_places(&self) -> u64 {
        self.tokens.at()
    }
    pub(super) fn sampled(&self) -> u64 {
        self.sampled.at()
    }
}
