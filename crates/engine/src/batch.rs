//! One step as flat arrays, ready for a device: what the operations know about the step beyond the activations.
//!
//! Built from a [`StepPlan`] on the engine thread; everything that could make an operation read or write out of
//! bounds is refused here.

use crate::executor::{
    BlockId, BlockTable, Capacity, ExecError, InputToken, SampleSpec, SeqSlot, StepPlan,
    TokenPlaces,
};

/// Where a sequence's blocks of one layer group are in [`StepBatch::blocks`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableRef {
    /// First entry.
    pub offset: u32,
    /// Number of entries.
    pub len: u32,
    /// The logical block of the first entry: position `p` is in entry `p / block_size - first_block`.
    pub first_block: u32,
}

/// The rows of one sequence in this step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeqRows {
    /// Its first row.
    pub first_row: u32,
    /// Its number of rows.
    pub rows: u32,
    /// Position of its first row; the others follow.
    pub start: u32,
    /// Blocks of the full-attention layers.
    pub full: TableRef,
    /// Blocks of the window layers.
    pub window: TableRef,
    /// Where what is kept of it lies.
    pub slot: SeqSlot,
    /// Its last rows, those of drafted tokens.
    pub drafts: u32,
    /// How many of them stand.
    pub stand: Stand,
}

/// How many drafted tokens of a sequence precede what it gets of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stand {
    /// It gets nothing: no token is chosen.
    #[default]
    Nothing,
    /// Those that the model itself chose ([`crate::executor::accepted`]).
    Chosen,
    /// So many, whatever was drafted: for measurements.
    Given(u32),
}

/// A row whose logits are wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogitRow {
    /// Row of the step.
    pub row: u32,
    /// Index of its sequence in the plan.
    pub seq: u32,
    /// Choose a token from it, and keep it at this place (`TokenPlaces`).
    pub sample: Option<(SeqSlot, SampleSpec)>,
    /// Give the logits to the host.
    pub logits: bool,
}

/// The sequence of a row that only fills its step up to a size: nothing is read or written for it.
pub const NO_SEQ: u32 = u32::MAX;

/// A step. A row is one input token at one position of one sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepBatch {
    /// One per row.
    pub tokens: Vec<InputToken>,
    /// One per row.
    pub positions: Vec<u32>,
    /// Index into `seqs`, one per row.
    pub seq_of_row: Vec<u32>,
    /// In the plan's order.
    pub seqs: Vec<SeqRows>,
    /// All block tables, one after the other.
    pub blocks: Vec<BlockId>,
    /// In the plan's order.
    pub logit_rows: Vec<LogitRow>,
    /// How many of the last rows, and of the last logit rows, only fill the step up.
    pub padding: usize,
}

impl StepBatch {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// Whether a token is chosen from each row and nothing else: the last token of each sequence, and drafted ones behind it.
    #[must_use]
    pub fn is_decode(&self) -> bool {
        let chosen = |h: &LogitRow| h.sample.is_some() && !h.logits;
        self.logit_rows.len() == self.rows() && self.logit_rows.iter().all(chosen)
    }

    /// Fills a decode step up with rows for which nothing happens.
    pub fn fill_up(&mut self, rows: usize) {
        self.padding += rows.saturating_sub(self.rows());
        for row in self.rows()..rows {
            self.tokens.push(InputToken::Known(0));
            self.positions.push(0);
            self.seq_of_row.push(NO_SEQ);
            self.logit_rows.push(LogitRow {
                row: row as u32,
                seq: NO_SEQ,
                sample: None,
                logits: false,
            });
        }
    }

    /// Flattens a plan. Drafted tokens are where the device keeps them.
    ///
    /// # Errors
    /// The plan breaks a limit of `cap`, names a token, slot or block that does not exist, or its tables do not cover
    /// the positions that its rows see.
    pub fn new(plan: &StepPlan, cap: &Capacity) -> Result<Self, ExecError> {
        let (mut batch, places) = (Self::default(), TokenPlaces::new(cap));
        let refuse = |what: String| Err(ExecError(format!("impossible step: {what}")));
        if plan.seqs.is_empty() || plan.seqs.len() > cap.max_seqs as usize {
            return refuse(format!(
                "{} sequences, expected 1 to {}",
                plan.seqs.len(),
                cap.max_seqs
            ));
        }
        for (i, seq) in plan.seqs.iter().enumerate() {
            let drafts = seq.verify.len() as u32;
            let n = seq.inputs.len() + seq.verify.len();
            let end = seq.end();
            if drafts > cap.draft_tokens || (drafts > 0 && seq.inputs.len() != 1) {
                return refuse(format!(
                    "{drafts} drafted tokens for sequence {i} with {} inputs, expected at most {} behind one",
                    seq.inputs.len(),
                    cap.draft_tokens
                ));
            }
            if drafts > 0 && seq.sample.is_none() {
                return refuse(format!("sequence {i} is to verify, and not to sample"));
            }
            if n == 0 || end > u64::from(cap.max_context) {
                let max = cap.max_context;
                return refuse(format!(
                    "positions {}..{end} of sequence {i}, expected some below {max}",
                    seq.start
                ));
            }
            if seq.slot >= cap.max_seqs {
                return refuse(format!(
                    "slot {}, expected below {}",
                    seq.slot, cap.max_seqs
                ));
            }
            for input in &seq.inputs {
                match *input {
                    InputToken::Known(t) if t >= cap.vocab_size => {
                        return refuse(format!(
                            "token {t}, expected below the vocabulary's {}",
                            cap.vocab_size
                        ));
                    }
                    InputToken::FromPrevious(s) if s >= cap.max_seqs => {
                        return refuse(format!("slot {s}, expected below {}", cap.max_seqs));
                    }
                    input => batch.tokens.push(input),
                }
            }
            let drafted = (0..drafts).map(|number| places.draft(seq.slot, number));
            batch.tokens.extend(drafted.map(InputToken::FromPrevious));
            let first_seen = cap.window.map(|w| (seq.start + 1).saturating_sub(w));
            let full = batch.table(&seq.full, cap.has_full.then_some(0), end as u32, cap);
            let window = batch.table(&seq.window, first_seen, end as u32, cap);
            let (Some(full), Some(window)) = (full, window) else {
                return refuse(format!(
                    "block tables {:?} and {:?} of sequence {i} for positions {}..{end}, expected blocks below {} that \
                     cover what it sees",
                    seq.full, seq.window, seq.start, cap.n_blocks
                ));
            };
            let first_row = batch.positions.len() as u32;
            let first_sampled = seq.inputs.len() - 1;
            for j in 0..n as u32 {
                batch.positions.push(seq.start + j);
                batch.seq_of_row.push(i as u32);
                // The last input, and each drafted token with the random number of its own position.
                let of_row = |spec: SampleSpec| {
                    let drafted = (j as usize).checked_sub(first_sampled)?;
                    let uniform = match drafted {
                        0 => spec.uniform,
                        d => seq.verify[d - 1],
                    };
                    let place = places.choice(seq.slot, drafted as u32);
                    Some((place, SampleSpec { uniform, ..spec }))
                };
                let sample = seq.sample.and_then(of_row);
                if sample.is_some() || seq.want_logits {
                    let row = first_row + j;
                    batch.logit_rows.push(LogitRow {
                        row,
                        seq: i as u32,
                        sample,
                        logits: seq.want_logits,
                    });
                }
            }
            batch.seqs.push(SeqRows {
                first_row,
                rows: n as u32,
                start: seq.start,
                full,
                window,
                slot: seq.slot,
                drafts,
                stand: match seq.sample {
                    Some(_) => Stand::Chosen,
                    None => Stand::Nothing,
                },
            });
        }
        if batch.rows() > cap.max_step_tokens as usize {
            return refuse(format!(
                "{} tokens, expected at most {}",
                batch.rows(),
                cap.max_step_tokens
            ));
        }
        Ok(batch)
    }

    /// `None` when the table does not cover `first_seen .. end` with existing blocks.
    fn table(
        &mut self,
        t: &BlockTable,
        first_seen: Option<u32>,
        end: u32,
        cap: &Capacity,
    ) -> Option<TableRef> {
        let Some(first_seen) = first_seen else {
            return Some(TableRef::default());
        };
        let covered = u64::from(t.first_block) + t.blocks.len() as u64;
        let needed = u64::from(end.div_ceil(cap.block_size));
        let known = t.blocks.iter().all(|b| *b < cap.n_blocks);
        if t.first_block > first_seen / cap.block_size || covered < needed || !known {
            return None;
        }
        Some(self.add_table(t))
    }

    /// Takes a table's blocks.
    pub(crate) fn add_table(&mut self, t: &BlockTable) -> TableRef {
        let offset = self.blocks.len() as u32;
        self.blocks.extend_from_slice(&t.blocks);
        TableRef {
            offset,
            len: t.blocks.len() as u32,
            first_block: t.first_block,
        }
    }
}
