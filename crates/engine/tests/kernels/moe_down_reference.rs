//! `kernels/moe_down_reference.cu`: widths of the second product that differ from the first's.

use crate::bench::{Bench, Device, and_reference, on_each_device};
use crate::tiny::Tiny;
use crate::topk_softmax::through;

on_each_device!(
    one_group_of_columns,
    more_columns_than_rows,
    order_of_the_sum
);
and_reference!(
    one_group_of_columns,
    more_columns_than_rows,
    order_of_the_sum
);

fn random<D: Device>(m: Tiny, rows: usize) {
    let mut b = Bench::<D>::new(&m);
    let logits = b.random(rows * m.experts);
    through(&mut b, rows, &logits);
}

fn one_group_of_columns<D: Device>() {
    random::<D>(
        Tiny {
            hidden: 128,
            inter: 32,
            experts: 3,
            top_k: 2,
            ..Tiny::default()
        },
        9,
    );
}

fn more_columns_than_rows<D: Device>() {
    random::<D>(
        Tiny {
            hidden: 32,
            inter: 224,
            experts: 3,
            top_k: 2,
            ..Tiny::default()
        },
        18,
    );
}

fn order_of_the_sum<D: Device>() {
    random::<D>(
        Tiny {
            hidden: 160,
            inter: 96,
            experts: 8,
            top_k: 8,
            ..Tiny::default()
        },
        4,
    );
}
