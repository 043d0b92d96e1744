//! Launches the kernels of `kernels/draft_argmax.cu`.

use super::args::{Argmax, ArgmaxArgs, CudaGuesses};
use crate::cuda::buffer::check_count;
use crate::cuda::driver::{Device, Kernel, Memory};
use crate::cuda::step::Step;
use crate::executor::TokenPlaces;
use crate::ops::OpResult;

/// The rows first, then the outputs.
fn grid(args: &ArgmaxArgs) -> (u32, u32) {
    let l = &args.linear;
    (l.rows.div_ceil(16), l.outs.div_ceil(32))
}

pub(crate) fn draft_argmax(p: &Argmax<'_>) -> OpResult {
    let args = p.checked()?;
    let d = p.linear.device;
    // SAFETY: `checked` has seen all operands; `linear_mma::takes` is the caller's condition; the kernel stays below rows and
    // outputs.
    unsafe { d.launch(Kernel::DraftArgmax, grid(&args), 256, &args) }
}

pub(crate) fn draft_argmax_reference(p: &Argmax<'_>) -> OpResult {
    let args = p.checked()?;
    let d = p.linear.device;
    // SAFETY: `checked` has seen all operands; the kernel stays below rows, columns and outputs.
    unsafe { d.launch(Kernel::DraftArgmaxReference, grid(&args), 256, &args) }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct DraftTokenArgs {
    keys: u64,
    seq_of_row: u64,
    seqs: u64,
    tokens: u64,
    table: u64,
    rows: u32,
    number: u32,
    max_seqs: u32,
    max_drafts: u32,
}
const _: () =
    assert!(size_of::<DraftTokenArgs>() == 56 && std::mem::offset_of!(DraftTokenArgs, rows) == 40);

/// The model's token for each of the head's.
pub struct CudaTokenTable {
    pub(crate) memory: Memory,
    pub(crate) len: usize,
}

/// Makes tokens of the guesses, those that are numbered `number` of their sequences. `vocab`: what was guessed among.
pub(crate) fn draft_token(
    d: &Device,
    step: &Step,
    guesses: &CudaGuesses,
    (table, vocab): (Option<&CudaTokenTable>, usize),
    number: usize,
) -> OpResult {
    let TokenPlaces { seqs, drafts } = step.places();
    check_count("draft", "rows", step.rows.min(guesses.rows), step.rows)?;
    check_count(
        "draft",
        "a number below",
        number.min(drafts as usize - 1),
        number,
    )?;
    if let Some(table) = table {
        check_count("draft", "tokens of the head", table.len, vocab)?;
    }
    let args = DraftTokenArgs {
        keys: guesses.keys.at(),
        seq_of_row: step.seq_of_row(),
        seqs: step.seqs_at(),
        tokens: step.token_places(),
        table: table.map_or(0, |t| t.memory.at()),
        rows: step.rows as u32,
        number: number as u32,
        max_seqs: seqs,
        max_drafts: drafts,
    };
    let grid = (args.rows.div_ceil(128), 1);
    // SAFETY: a thread per row, of which `guesses` has as many; ids are below `vocab`, which the table has; slots and numbers
    // are below those that the places were made for (`StepBatch`).
    unsafe { d.launch(Kernel::DraftToken, grid, 128, &args) }
}
