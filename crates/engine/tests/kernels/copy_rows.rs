//! `kernels/copy_rows.cu`: rows side by side, and rows by the slot of their sequence.

use ossmark_engine::batch::NO_SEQ;
use ossmark_engine::ops::DraftOps;

use crate::bench::{Bench, Device, on_each_device};
use crate::tiny::Tiny;

on_each_device!(side_by_side, by_slot);

fn side_by_side<D: Device + DraftOps>() {
    let mut b = Bench::<D>::new(&Tiny::default());
    for (rows, cols) in [(1, 32), (17, 96), (3, 2880)] {
        b.begin(&[(0, rows)]);
        let parts: Vec<_> = (0..3).map(|_| b.random(rows * cols)).collect();
        let mut to = b.poisoned(rows, 3 * cols);
        for (place, part) in parts.iter().enumerate() {
            let from = b.filled(part, cols);
            b.ops.copy_columns(&from, &mut to, place * cols).unwrap();
        }
        let got = b.read(&to, rows);
        for row in 0..rows {
            let expected: Vec<f32> = parts
                .iter()
                .flat_map(|part| part[row * cols..][..cols].to_vec())
                .collect();
            assert_eq!(got[row * 3 * cols..][..3 * cols], expected, "row {row}");
        }
    }
}

fn by_slot<D: Device + DraftOps>() {
    let mut b = Bench::<D>::new(&Tiny::default());
    let cols = 96;
    let states = b.random(300 * cols);
    let from = b.filled(&states, cols);
    let slots = [7, 299, 0, 7];
    let mut plan = b.plan(&[(0, 1); 4]);
    for (seq, slot) in plan.seqs.iter_mut().zip(slots) {
        seq.slot = slot;
    }
    let mut batch = b.batch(&plan);
    // Nothing is written for the rows of nobody.
    batch.seq_of_row[2] = NO_SEQ;
    b.ops.begin(&batch).unwrap();
    let before = vec![5.0; 4 * cols];
    let mut out = b.filled(&before, cols);
    b.ops.gather_states(&from, &mut out).unwrap();
    let got = b.read(&out, 4);
    for (row, slot) in slots.into_iter().enumerate() {
        let expected = match row {
            2 => &before[..cols],
            _ => &states[slot as usize * cols..][..cols],
        };
        assert_eq!(got[row * cols..][..cols], *expected, "row {row}");
    }
}
