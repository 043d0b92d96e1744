//! The head's passes of a step, as flat arrays like the step itself: those that draft, then the one that learns what stands.

use crate::batch::{NO_SEQ, SeqRows, Stand, StepBatch};
use crate::executor::{Capacity, ExecError, InputToken, StepPlan, TokenPlaces};

/// The pass before draft `number` of each sequence, a row a sequence: its pair is the draft before that one, with the state
/// that drafted it. Nothing happens in the rows of sequences that want fewer; before the first there is nothing to be run.
pub(super) fn drafting(plan: &StepPlan, number: u32, cap: &Capacity) -> StepBatch {
    let (mut pass, places) = (StepBatch::default(), TokenPlaces::new(cap));
    for (i, seq) in plan.seqs.iter().enumerate() {
        let wanted = seq.verify.len() as u32 > number;
        let last = seq.start + seq.inputs.len() as u32 - 1;
        // The pair at a position has the token after it.
        let (token, position) = match number {
            _ if !wanted => (InputToken::Known(0), 0),
            0 => (InputToken::Known(0), last),
            n => (
                InputToken::FromPrevious(places.draft(seq.slot, n - 1)),
                last + n - 1,
            ),
        };
        let full = match wanted {
            true => pass.add_table(&seq.full),
            false => Default::default(),
        };
        pass.tokens.push(token);
        pass.positions.push(position);
        pass.seq_of_row.push(if wanted { i as u32 } else { NO_SEQ });
        pass.seqs.push(SeqRows {
            first_row: i as u32,
            rows: 1,
            start: position,
            full,
            slot: seq.slot,
            ..SeqRows::default()
        });
    }
    pass
}

/// The pass over all rows of a step, each with the token after it: what the model chose, behind the last known one. Drafts that
/// do not stand leave pairs behind what counts, which the next step overwrites.
///
/// # Errors
/// It is not known what comes after a sequence's last input.
pub(super) fn learning(
    plan: &StepPlan,
    step: &StepBatch,
    cap: &Capacity,
) -> Result<StepBatch, ExecError> {
    let places = TokenPlaces::new(cap);
    let mut tokens = Vec::with_capacity(step.rows());
    for (i, seq) in plan.seqs.iter().enumerate() {
        tokens.extend_from_slice(seq.inputs.get(1..).unwrap_or_default());
        let choice = |n| InputToken::FromPrevious(places.choice(seq.slot, n));
        match (seq.sample, seq.next) {
            (Some(_), _) => tokens.extend((0..=seq.verify.len() as u32).map(choice)),
            (None, Some(next)) => tokens.push(InputToken::Known(next)),
            (None, None) => {
                return Err(ExecError(format!(
                    "impossible step: sequence {i} samples nothing, and nothing is said of what comes after it"
                )));
            }
        }
    }
    Ok(StepBatch {
        tokens,
        logit_rows: Vec::new(),
        ..step.clone()
    })
}

/// Fills a step's passes up to what was recorded for `seqs` sequences and `rows` rows.
pub(super) fn fill_up(passes: &mut [StepBatch], seqs: usize, rows: usize) {
    let Some((learning, drafting)) = passes.split_last_mut() else {
        return;
    };
    drafting.iter_mut().for_each(|pass| pass.fill_up(seqs));
    learning.fill_up(rows);
    learning.seqs.resize(seqs, SeqRows::default());
}

/// Says how many drafts of each sequence stand, whatever they are; `accepted` gets how many there are.
pub(super) fn give(pass: &mut StepBatch, mut accepted: impl FnMut(usize) -> usize) {
    for seq in &mut pass.seqs {
        if seq.stand == Stand::Chosen {
            seq.stand = Stand::Given(accepted(seq.drafts as usize) as u32);
        }
    }
}
