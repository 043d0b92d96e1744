//! `kernels/draft_argmax.cu`: the largest of what the product would store, the lowest id of equals, at its place.

use ossmark_engine::batch::NO_SEQ;
use ossmark_engine::executor::StepHandle;
use ossmark_engine::ops::{BAD_LOGITS, DraftOps};
use ossmark_engine::weights::LinearSource;

use crate::bench::{Bench, DRAFTS, Device, and_reference, on_each_device};
use crate::tiny::Tiny;

on_each_device!(
    as_the_stored_product,
    equals_and_numbers,
    not_finite,
    rows_of_nobody
);
and_reference!(as_the_stored_product, equals_and_numbers, not_finite);

/// Tokens that there is room for behind the last.
const MOST: usize = 3;

pub(crate) fn bench<D: Device>(m: &Tiny) -> Bench<D> {
    DRAFTS.set(MOST as u32);
    Bench::new(m)
}

/// Drafts token `number` of as many sequences as there are rows, and gives what all of them have at their places.
fn draft<D: Device + DraftOps>(
    b: &mut Bench<D>,
    w: &D::Linear,
    (x, cols): (&[f32], usize),
    table: Option<&[u32]>,
    number: usize,
) -> Vec<[u32; MOST]> {
    let rows = x.len() / cols;
    let plan = b.plan(&vec![(0, 1); rows]);
    b.begin_plan(plan);
    let x = b.filled(x, cols);
    let table = table.map(|t| b.ops.token_table(t).unwrap());
    let mut guesses = b.ops.guesses(300, 1).unwrap();
    if !D::HAS_TENSOR_CORES {
        // The CPU stores the product.
        guesses = b.ops.guesses(300, b.m.vocab).unwrap();
    }
    b.ops
        .draft(&x, w, table.as_ref(), number, &mut guesses)
        .unwrap();
    places(b, rows)
}

/// Of the first slots.
fn places<D: Device>(b: &mut Bench<D>, rows: usize) -> Vec<[u32; MOST]> {
    b.ops.end(StepHandle(0)).unwrap();
    let all = b.ops.tokens(StepHandle(0)).unwrap();
    assert_eq!(all.len(), 300 * MOST);
    all.as_chunks().0[..rows].to_vec()
}

/// For each number of rows, random ones: exactly the largest of what the product stores.
pub(crate) fn compare<D: Device + DraftOps>(
    b: &mut Bench<D>,
    source: &LinearSource,
    counts: &[usize],
) {
    let w = b.ops.linear_weights(source).unwrap();
    let cols = source.weight[0].cols();
    for rows in counts.iter().copied() {
        let x = b.random(rows * cols);
        let got = draft(b, &w, (&x, cols), None, 1);
        let (vocab, xb) = (b.m.vocab, b.filled(&x, cols));
        let mut out = b.poisoned(rows, vocab);
        b.ops.linear(&xb, &w, rows, &mut out).unwrap();
        let stored = b.read(&out, rows);
        for (row, got) in stored.chunks_exact(vocab).zip(got) {
            let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let first = row.iter().position(|x| *x == most).unwrap();
            let seed = crate::bench::seed();
            assert_eq!(
                got[1], first as u32,
                "{rows} rows; OSSMARK_TEST_SEED={seed}"
            );
        }
    }
}

fn as_the_stored_product<D: Device + DraftOps>() {
    for (hidden, vocab) in [(160, 331), (64, 31), (288, 97)] {
        let mut b = bench::<D>(&Tiny {
            hidden,
            vocab,
            ..Tiny::default()
        });
        let source = b.sources.lm_head.clone();
        compare(&mut b, &source, &[1, 2, 8, 9, 16, 17, 40]);
    }
}

/// All logits are zero, of either sign: the lowest id, through the table, at the place of its number and nowhere else.
fn equals_and_numbers<D: Device + DraftOps>() {
    let mut b = bench::<D>(&Tiny {
        hidden: 64,
        vocab: 50,
        ..Tiny::default()
    });
    let source = b.sources.lm_head.clone();
    let w = b.ops.linear_weights(&source).unwrap();
    let zeros = [vec![0.0; 64], vec![-0.0; 64], vec![0.0; 64]].concat();
    let all = draft(&mut b, &w, (&zeros, 64), None, 2);
    assert!(all.iter().all(|places| places[2] == 0), "{all:?}");
    let table: Vec<u32> = (0..50).map(|i| 1000 + i).collect();
    for number in 0..MOST {
        let before = draft(&mut b, &w, (&zeros, 64), None, number);
        assert!(before.iter().all(|places| places[number] == 0));
        let all = draft(&mut b, &w, (&zeros, 64), Some(&table), number);
        for places in &all {
            assert_eq!(places[number], 1000, "{number}: {all:?}");
            assert!(
                number == MOST - 1 || places[number + 1] == 0,
                "{number}: {all:?}"
            );
        }
    }
}

/// A row that is not finite says so; the others, and the next draft, do not mind.
fn not_finite<D: Device + DraftOps>() {
    let mut b = bench::<D>(&Tiny {
        hidden: 64,
        vocab: 50,
        ..Tiny::default()
    });
    let source = b.sources.lm_head.clone();
    let w = b.ops.linear_weights(&source).unwrap();
    let table = vec![7; 50];
    for bad in [f32::NAN, f32::INFINITY] {
        let mut x = b.random(3 * 64);
        x[64 + 5] = bad;
        let all = draft(&mut b, &w, (&x, 64), Some(&table), 0);
        let first: Vec<_> = all.iter().map(|places| places[0]).collect();
        assert_eq!(first, [7, BAD_LOGITS, 7], "{bad}");
    }
}

/// A row without a sequence drafts nothing, and leaves nothing behind for the next one there.
fn rows_of_nobody<D: Device + DraftOps>() {
    let mut b = bench::<D>(&Tiny {
        hidden: 64,
        vocab: 50,
        ..Tiny::default()
    });
    let source = b.sources.lm_head.clone();
    let w = b.ops.linear_weights(&source).unwrap();
    let mut guesses = b.ops.guesses(4, 50).unwrap();
    let x = b.random(2 * 64);
    let mut draft = |b: &mut Bench<D>, x: &[f32], nobody: bool, table: &[u32]| {
        let plan = b.plan(&[(0, 1); 2]);
        let mut batch = b.batch(&plan);
        if nobody {
            batch.seq_of_row[0] = NO_SEQ;
        }
        b.ops.begin(&batch).unwrap();
        let x = b.filled(x, 64);
        let table = b.ops.token_table(table).unwrap();
        b.ops.draft(&x, &w, Some(&table), 0, &mut guesses).unwrap();
        let all = places(b, 2);
        [all[0][0], all[1][0]]
    };
    assert_eq!(draft(&mut b, &x, false, &[5; 50]), [5, 5]);
    assert_eq!(draft(&mut b, &x, true, &[6; 50]), [5, 6]);
    // The largest of a row of zeros is id 0, whatever was guessed there before.
    let mut table = vec![9; 50];
    table[0] = 8;
    assert_eq!(draft(&mut b, &[0.0; 128], false, &table), [8, 8]);
}
