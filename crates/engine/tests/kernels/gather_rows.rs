//! `kernels/gather_rows.cu`.

use ossmark_engine::executor::SampleSpec;
use ossmark_protocol::Sampling;

use crate::bench::{Bench, Device, on_each_device};
use crate::tiny::Tiny;

on_each_device!(heads_of_a_mixed_step);

fn heads_of_a_mixed_step<D: Device>() {
    let mut b = Bench::<D>::new(&Tiny::default());
    let mut plan = b.plan(&[(0, 3), (4, 1), (0, 2), (9, 2)]);
    let spec = SampleSpec {
        sampling: Sampling::GREEDY,
        uniform: 0.0,
    };
    // Rows: 0 1 2 | 3 | 4 5 | 6 7. Heads: 2, 3, 6, 7.
    plan.seqs[0].sample = Some(spec);
    plan.seqs[1].sample = Some(spec);
    plan.seqs[3].want_logits = true;
    b.begin_plan(plan);
    let x = b.random(8 * 64);
    let xb = b.filled(&x, 64);
    for (logit_rows, rows) in [
        (0..4, vec![2, 3, 6, 7]),
        (1..3, vec![3, 6]),
        (3..4, vec![7]),
    ] {
        let mut out = b.poisoned(4, 64);
        b.ops
            .gather_rows(&xb, logit_rows.clone(), &mut out)
            .unwrap();
        let got = b.read(&out, rows.len());
        for (i, row) in rows.iter().enumerate() {
            assert_eq!(
                got[i * 64..][..64],
                x[row * 64..][..64],
                "row {i} of {logit_rows:?}"
            );
        }
    }
}
