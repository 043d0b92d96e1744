//! `kernels/moe_down_mma.cu`: columns that do not divide among the warps, and several blocks of rows.

use crate::bench::{Bench, Device, on_each_device};
use crate::tiny::Tiny;
use crate::topk_softmax::through;

on_each_device!(several_blocks_of_rows, groups_around_quads_and_warps);

fn random<D: Device>(m: Tiny, rows: usize) {
    let mut b = Bench::<D>::new(&m);
    let logits = b.random(rows * m.experts);
    through(&mut b, rows, &logits);
}

fn several_blocks_of_rows<D: Device>() {
    for rows in [3, 30] {
        random::<D>(
            Tiny {
                hidden: 256,
                inter: 96,
                experts: 6,
                top_k: 3,
                ..Tiny::default()
            },
            rows,
        );
    }
}

fn groups_around_quads_and_warps<D: Device>() {
    for inter in [32, 160, 992, 1056] {
        random::<D>(
            Tiny {
                hidden: 64,
                inter,
                experts: 2,
                top_k: 2,
                ..Tiny::default()
            },
            3,
        );
    }
}
