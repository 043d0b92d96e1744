//! `kernels/attention_packed.cu`: splits of 512 positions, in one block or in several, and windows that begin anywhere.

use crate::attention::grow;
use crate::bench::{Bench, Device, and_fp8, on_each_device};
use crate::tiny::Tiny;

on_each_device!(
    split_edges_511_512_513,
    window_across_splits,
    many_rows_do_all_splits_themselves
);
and_fp8!(split_edges_511_512_513, many_rows_do_all_splits_themselves);

fn model(window: usize, kv_heads: usize) -> Tiny {
    Tiny {
        window,
        heads: 8 * kv_heads,
        kv_heads,
        hidden: 32,
        experts: 1,
        top_k: 1,
        ..Tiny::default()
    }
}

/// A decode step of one row after a long prompt is cut into blocks (the emulator has 4 multiprocessors).
fn split_edges_511_512_513<D: Device>() {
    let mut b = Bench::<D>::new(&model(128, 1));
    grow(
        &mut b,
        &[&[509], &[2], &[1], &[1], &[1]],
        &[509, 510, 511, 512, 513],
    );
    grow(
        &mut b,
        &[&[1020], &[7], &[573], &[1]],
        &[1020, 1023, 1024, 1025, 1600],
    );
}

fn window_across_splits<D: Device>() {
    let mut b = Bench::<D>::new(&model(128, 2));
    grow(
        &mut b,
        &[&[510, 500], &[10, 20], &[55, 60], &[10, 3], &[1, 1]],
        &[510, 511, 512, 513, 514, 575, 576, 580, 585],
    );
    let mut b = Bench::<D>::new(&model(13, 1));
    grow(
        &mut b,
        &[&[14], &[496], &[5], &[1]],
        &[0, 12, 13, 511, 512, 515],
    );
}

fn many_rows_do_all_splits_themselves<D: Device>() {
    let mut b = Bench::<D>::new(&model(128, 1));
    grow(&mut b, &[&[550], &[40]], &[549, 550, 570, 589]);
}
