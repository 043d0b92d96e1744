//! `kernels/draft_argmax_wgmma.cu`: many rows, whole and partial tiles.

use ossmark_engine::ops::DraftOps;

use crate::bench::{Device, on_each_device};
use crate::draft_argmax::{bench, compare};
use crate::tiny::Tiny;

on_each_device!(whole_and_partial_tiles);

fn whole_and_partial_tiles<D: Device + DraftOps>() {
    for (hidden, vocab) in [(64, 40), (192, 328)] {
        let mut b = bench::<D>(&Tiny {
            hidden,
            vocab,
            ..Tiny::default()
        });
        let source = b.sources.lm_head.clone();
        compare(&mut b, &source, &[64, 65, 130, 193, 257, 300]);
    }
}
