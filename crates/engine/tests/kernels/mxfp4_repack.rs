//! `kernels/mxfp4_repack.cu`: every column of a group comes out where the kernels look for it.

use crate::bench::{Bench, Device, and_reference, on_each_device};
use crate::tiny::Tiny;
use crate::topk_softmax::through;

on_each_device!(one_group, many_groups);
and_reference!(one_group, many_groups);

fn random<D: Device>(m: Tiny) {
    let mut b = Bench::<D>::new(&m);
    let logits = b.random(2 * m.experts);
    through(&mut b, 2, &logits);
}

fn one_group<D: Device>() {
    random::<D>(Tiny {
        hidden: 32,
        inter: 32,
        experts: 1,
        top_k: 1,
        ..Tiny::default()
    });
}

fn many_groups<D: Device>() {
    random::<D>(Tiny {
        hidden: 96,
        inter: 96,
        experts: 7,
        top_k: 2,
        ..Tiny::default()
    });
}
