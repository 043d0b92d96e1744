//! `kernels/attention_prefill.cu`: rows around tiles of 16, positions around buffers of 64, windows that begin anywhere,
//! tiles with rows of several sequences, and sequences that go to different kernels.

use crate::attention_reference::grow;
use crate::bench::{Bench, Device, and_fp8, on_each_device};
use crate::tiny::Tiny;

on_each_device!(
    rows_around_tiles,
    positions_around_buffers,
    windows_anywhere,
    several_sequences_in_a_tile,
    few_and_many_rows_in_a_step
);
and_fp8!(positions_around_buffers, few_and_many_rows_in_a_step);

fn bench<D: Device>(window: usize, kv_heads: usize) -> Bench<D> {
    Bench::new(&Tiny {
        window,
        heads: 8 * kv_heads,
        kv_heads,
        hidden: 32,
        experts: 1,
        top_k: 1,
        ..Tiny::default()
    })
}

fn rows_around_tiles<D: Device>() {
    let mut b = bench::<D>(128, 2);
    grow(&mut b, &[&[16]], &[]);
    grow(&mut b, &[&[17]], &[]);
    grow(&mut b, &[&[31], &[33], &[16]], &[]);
}

fn positions_around_buffers<D: Device>() {
    let mut b = bench::<D>(200, 1);
    grow(
        &mut b,
        &[&[63], &[65], &[128]],
        &[0, 15, 62, 63, 64, 127, 128, 129, 192, 255],
    );
    grow(&mut b, &[&[64], &[16], &[48]], &[63, 64, 79, 80, 127]);
    grow(&mut b, &[&[1], &[64], &[62]], &[0, 1, 16, 63, 64, 65, 126]);
}

fn windows_anywhere<D: Device>() {
    for window in [1, 13, 100] {
        let mut b = bench::<D>(window, 1);
        grow(
            &mut b,
            &[&[150], &[90]],
            &[
                0, 12, 13, 63, 64, 65, 127, 128, 129, 149, 150, 191, 192, 239,
            ],
        );
    }
}

fn several_sequences_in_a_tile<D: Device>() {
    let mut b = bench::<D>(40, 1);
    grow(&mut b, &[&[17, 18, 19, 20]], &[]);
    grow(
        &mut b,
        &[&[70, 21, 16], &[25, 16, 50]],
        &[0, 15, 16, 20, 36, 39, 40, 69, 70, 94],
    );
}

fn few_and_many_rows_in_a_step<D: Device>() {
    let mut b = bench::<D>(128, 1);
    grow(
        &mut b,
        &[&[40, 210, 5, 1], &[1, 15, 16, 17], &[20, 1, 1, 30]],
        &[0, 4, 5, 17, 39, 40, 59, 209, 210, 224, 225],
    );
}
