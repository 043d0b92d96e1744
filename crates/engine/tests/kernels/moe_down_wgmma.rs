//! `kernels/moe_down_wgmma.cu`: more rows than columns and the other way round, the real columns, many experts.

use crate::bench::{Bench, Device, on_each_device};
use crate::tiny::Tiny;
use crate::topk_softmax::through;

on_each_device!(
    rows_of_a_matrix_around_blocks,
    real_columns,
    many_experts_top_4
);

fn random<D: Device>(m: Tiny, rows: usize) {
    let mut b = Bench::<D>::new(&m);
    let logits = b.random(rows * m.experts);
    through(&mut b, rows, &logits);
}

fn rows_of_a_matrix_around_blocks<D: Device>() {
    for hidden in [64, 128, 192, 256, 448] {
        random::<D>(
            Tiny {
                hidden,
                inter: 64,
                experts: 3,
                top_k: 2,
                ..Tiny::default()
            },
            61,
        );
    }
}

fn real_columns<D: Device>() {
    random::<D>(
        Tiny {
            hidden: 128,
            inter: 2880,
            experts: 2,
            top_k: 2,
            ..Tiny::default()
        },
        40,
    );
}

fn many_experts_top_4<D: Device>() {
    random::<D>(
        Tiny {
            hidden: 64,
            inter: 64,
            experts: 128,
            top_k: 4,
            ..Tiny::default()
        },
        530,
    );
}
