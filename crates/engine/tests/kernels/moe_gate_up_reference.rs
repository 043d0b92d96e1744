//! `kernels/moe_gate_up_reference.cu`: the shapes of the first product. With it runs the second, since nothing in between can
//! be read out.

use crate::bench::{Bench, Device, and_reference, on_each_device};
use crate::tiny::Tiny;
use crate::topk_softmax::through;

on_each_device!(
    all_tokens_one_expert,
    empty_expert,
    one_tile,
    tile_plus_tail,
    real_width
);
and_reference!(
    all_tokens_one_expert,
    empty_expert,
    one_tile,
    tile_plus_tail,
    real_width
);

/// Row `r` prefers expert `choice(r)`, then the others in order.
pub(crate) fn prefer<D: Device>(b: &mut Bench<D>, rows: usize, choice: impl Fn(usize) -> usize) {
    let experts = b.m.experts;
    let wish = |r: usize, e: usize| {
        if e == choice(r) {
            2.0
        } else {
            -(e as f32) / 4.0
        }
    };
    let logits: Vec<f32> = (0..rows * experts)
        .map(|i| wish(i / experts, i % experts))
        .collect();
    through(b, rows, &logits);
}

fn bench<D: Device>() -> Bench<D> {
    Bench::new(&Tiny {
        experts: 5,
        top_k: 2,
        hidden: 96,
        inter: 64,
        ..Tiny::default()
    })
}

fn all_tokens_one_expert<D: Device>() {
    prefer(&mut bench::<D>(), 40, |_| 3);
}

fn empty_expert<D: Device>() {
    prefer(&mut bench::<D>(), 25, |r| [0, 1, 4][r % 3]);
}

fn one_tile<D: Device>() {
    prefer(&mut bench::<D>(), 1, |_| 2);
    prefer(&mut bench::<D>(), 16, |_| 2);
}

fn tile_plus_tail<D: Device>() {
    [7, 8, 9, 15, 17, 31, 33]
        .into_iter()
        .for_each(|n| prefer(&mut bench::<D>(), n, |_| 2));
}

fn real_width<D: Device>() {
    prefer(&mut Bench::<D>::real(), 3, |r| r % 4);
}
