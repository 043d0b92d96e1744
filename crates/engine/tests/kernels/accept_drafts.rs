//! `kernels/accept_drafts.cu`: what stands of each sequence, its last token and its state.

use ossmark_engine::batch::Stand;
use ossmark_engine::executor::{InputToken, SampleSpec};
use ossmark_engine::ops::DraftOps;
use ossmark_protocol::Sampling;

use crate::bench::{Bench, Device, on_each_device};
use crate::draft_argmax::bench;
use crate::tiny::Tiny;

on_each_device!(from_none_to_all_drafts);

const GREEDY: SampleSpec = SampleSpec {
    sampling: Sampling::GREEDY,
    uniform: 0.0,
};
const HIDDEN: usize = 64;
/// What is drafted for all.
const DRAFTED: [u32; 3] = [5, 6, 7];

/// Inputs and drafts of a sequence, what the model chooses, how many stand when they are not compared, and how many do.
type Case = (usize, usize, &'static [usize], Option<u32>, usize);

const CASES: [Case; 8] = [
    (1, 3, &[5, 6, 7, 9], None, 3),
    (1, 3, &[5, 6, 1, 7], None, 2),
    (1, 3, &[4, 6, 7, 2], None, 0),
    (1, 1, &[5, 8], None, 1),
    // A prompt's end, and a chunk before the end.
    (3, 0, &[3], None, 0),
    (2, 0, &[], None, 0),
    (1, 3, &[5, 6, 7, 9], Some(1), 1),
    (1, 3, &[4, 1, 1, 2], Some(3), 3),
];

fn from_none_to_all_drafts<D: Device + DraftOps>() {
    let mut b = bench::<D>(&Tiny {
        hidden: HIDDEN,
        vocab: 50,
        ..Tiny::default()
    });
    let lengths: Vec<_> = CASES.iter().map(|case| (9, case.0)).collect();
    let mut plan = b.plan(&lengths);
    // Slots in another order, with one left out.
    for ((i, seq), (.., drafts, choices, _, _)) in plan.seqs.iter_mut().enumerate().zip(&CASES) {
        seq.slot = 8 - i as u32;
        seq.sample = (!choices.is_empty()).then_some(GREEDY);
        seq.verify = vec![0.0; *drafts];
    }
    let mut batch = b.batch(&plan);
    for (seq, (.., given, _)) in batch.seqs.iter_mut().zip(&CASES) {
        seq.stand = given.map_or(seq.stand, Stand::Given);
    }
    let rows = batch.rows();
    b.ops.begin(&batch).unwrap();
    draft_for_all(&mut b, rows);
    choose(&mut b);
    let (x, before) = (b.random(rows * HIDDEN), vec![3.0; 300 * HIDDEN]);
    let (xb, mut states) = (b.filled(&x, HIDDEN), b.filled(&before, HIDDEN));
    b.ops.accept(&xb, &mut states).unwrap();
    let states = b.read(&states, 9);
    let mut first = 0;
    for (i, (inputs, drafts, choices, _, stand)) in CASES.iter().enumerate() {
        let found = &states[(8 - i) * HIDDEN..][..HIDDEN];
        let expected = match choices.is_empty() {
            true => &before[..HIDDEN],
            false => &x[(first + inputs - 1 + stand) * HIDDEN..][..HIDDEN],
        };
        assert_eq!(found, expected, "case {i}");
        first += inputs + drafts;
    }
    assert_eq!(states[..HIDDEN], before[..HIDDEN], "a slot of nobody");
    last_tokens(&mut b);
}

/// A guess among zeros is id 0, of which a table makes what is wanted.
fn draft_for_all<D: Device + DraftOps>(b: &mut Bench<D>, rows: usize) {
    let source = b.sources.lm_head.clone();
    let w = b.ops.linear_weights(&source).unwrap();
    let x = b.filled(&vec![0.0; rows * HIDDEN], HIDDEN);
    let mut guesses = b.ops.guesses(300, 50).unwrap();
    for (number, token) in DRAFTED.into_iter().enumerate() {
        let table = b.ops.token_table(&[token; 50]).unwrap();
        b.ops
            .draft(&x, &w, Some(&table), number, &mut guesses)
            .unwrap();
    }
}

fn choose<D: Device>(b: &mut Bench<D>) {
    let choices: Vec<_> = CASES.iter().flat_map(|case| case.2).collect();
    let mut logits = vec![0.0; choices.len() * 50];
    for (row, token) in choices.iter().enumerate() {
        logits[row * 50 + **token] = 1.0;
    }
    let logits = b.filled(&logits, 50);
    b.ops.sample(&logits, 0..choices.len()).unwrap();
}

/// As the next step's inputs.
fn last_tokens<D: Device>(b: &mut Bench<D>) {
    let sampled = || {
        CASES
            .iter()
            .enumerate()
            .filter(|(_, case)| !case.2.is_empty())
    };
    let mut plan = b.plan(&vec![(0, 1); sampled().count()]);
    for (seq, (i, _)) in plan.seqs.iter_mut().zip(sampled()) {
        seq.inputs = vec![InputToken::FromPrevious(8 - i as u32)];
    }
    b.begin_plan(plan);
    let source = b.sources.embedding.clone();
    let table = b.ops.linear_weights(&source).unwrap();
    let all = source.weight[0].to_vec();
    let mut out = b.poisoned(sampled().count(), HIDDEN);
    b.ops.embed(&table, &mut out).unwrap();
    let got = b.read(&out, sampled().count());
    for (row, (i, (.., choices, _, stand))) in got.chunks_exact(HIDDEN).zip(sampled()) {
        assert_eq!(row, &all[choices[*stand] * HIDDEN..][..HIDDEN], "case {i}");
    }
}
