//! `kernels/moe_gate_up_mma.cu`: tiles of 8 and 16 rows, groups that do not divide among the warps.

use crate::bench::{Bench, Device, on_each_device};
use crate::tiny::Tiny;
use crate::topk_softmax::through;

on_each_device!(
    sorted_rows_around_8_and_16,
    groups_around_quads_and_warps,
    more_than_a_tile_of_one_expert
);

fn all_to_one<D: Device>(m: Tiny, rows: &[usize]) {
    let mut b = Bench::<D>::new(&m);
    for rows in rows {
        let logits: Vec<f32> = (0..rows * m.experts)
            .map(|i| -((i % m.experts) as f32))
            .collect();
        through(&mut b, *rows, &logits);
    }
}

fn sorted_rows_around_8_and_16<D: Device>() {
    let m = Tiny {
        experts: 3,
        top_k: 2,
        hidden: 192,
        inter: 96,
        ..Tiny::default()
    };
    all_to_one::<D>(m, &[1, 7, 8, 9, 15, 16, 17]);
}

/// 1, 4, 5, 31, 32 and 33 groups of columns.
fn groups_around_quads_and_warps<D: Device>() {
    for hidden in [64, 128, 1024, 1088] {
        let m = Tiny {
            experts: 2,
            top_k: 1,
            hidden,
            inter: 32,
            heads: 1,
            kv_heads: 1,
            ..Tiny::default()
        };
        all_to_one::<D>(m, &[2]);
    }
}

fn more_than_a_tile_of_one_expert<D: Device>() {
    all_to_one::<D>(
        Tiny {
            experts: 4,
            top_k: 1,
            hidden: 64,
            inter: 64,
            ..Tiny::default()
        },
        &[50],
    );
}
