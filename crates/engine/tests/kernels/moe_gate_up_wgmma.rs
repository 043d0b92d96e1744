//! `kernels/moe_gate_up_wgmma.cu`: tiles of each width and their edges, rows of a matrix that are not whole blocks, fewer
//! steps than stages, experts without rows. The variant needs 16 rows an expert on average.

use crate::bench::{Bench, Device, on_each_device};
use crate::moe_gate_up_reference::prefer;
use crate::tiny::Tiny;
use crate::topk_softmax::through;

on_each_device!(
    sorted_rows_around_each_width,
    steps_around_the_stages,
    all_tokens_one_expert,
    empty_expert,
    rows_of_a_matrix_around_blocks,
    real_columns
);

/// One expert has all rows.
fn one_expert(hidden: usize, inter: usize) -> Tiny {
    Tiny {
        experts: 1,
        top_k: 1,
        hidden,
        inter,
        ..Tiny::default()
    }
}

fn sorted_rows_around_each_width<D: Device>() {
    let mut b = Bench::<D>::new(&one_expert(64, 64));
    for rows in [
        16, 17, 31, 32, 33, 63, 64, 65, 95, 96, 97, 127, 128, 129, 160, 257,
    ] {
        through(&mut b, rows, &vec![0.0; rows]);
    }
}

fn steps_around_the_stages<D: Device>() {
    for steps in [1, 2, 5, 6, 7, 8, 9, 17] {
        let mut b = Bench::<D>::new(&one_expert(64 * steps, 64));
        through(&mut b, 37, &[0.0; 37]);
    }
}

fn several<D: Device>() -> Bench<D> {
    Bench::new(&Tiny {
        experts: 5,
        top_k: 2,
        hidden: 128,
        inter: 64,
        ..Tiny::default()
    })
}

fn all_tokens_one_expert<D: Device>() {
    prefer(&mut several::<D>(), 140, |_| 3);
}

fn empty_expert<D: Device>() {
    prefer(&mut several::<D>(), 50, |r| [0, 1, 4][r % 3]);
}

fn rows_of_a_matrix_around_blocks<D: Device>() {
    // 128, 384 and 640 rows for blocks of 192.
    for inter in [64, 192, 320] {
        let mut b = Bench::<D>::new(&Tiny {
            experts: 2,
            top_k: 1,
            hidden: 128,
            inter,
            ..Tiny::default()
        });
        prefer(&mut b, 70, |r| usize::from(r % 5 == 0));
    }
}

fn real_columns<D: Device>() {
    let mut b = Bench::<D>::new(&Tiny {
        experts: 2,
        top_k: 1,
        hidden: 2880,
        inter: 64,
        ..Tiny::default()
    });
    prefer(&mut b, 150, |r| usize::from(r < 20));
}
