//! `kernels/linear_mma.cu`: few rows, whole and partial tiles of rows and outputs, columns that do not divide among the warps.

use crate::bench::{Bench, Device, on_each_device};
use crate::linear_reference::product;
use crate::tiny::Tiny;

on_each_device!(
    fewer_spans_than_warps,
    rows_around_8_and_16,
    real_head_slice
);

fn fewer_spans_than_warps<D: Device>() {
    for hidden in [32, 64, 224, 288] {
        let mut b = Bench::<D>::new(&Tiny {
            hidden,
            experts: 33,
            ..Tiny::default()
        });
        let router = b.sources.layers[0].router.clone();
        product(&mut b, "router", &router, 3, 512);
    }
}

fn rows_around_8_and_16<D: Device>() {
    let mut b = Bench::<D>::new(&Tiny {
        hidden: 160,
        vocab: 31,
        ..Tiny::default()
    });
    let head = b.sources.lm_head.clone();
    for rows in [1, 2, 8, 9, 15, 16, 17, 24, 25, 40] {
        product(&mut b, "head", &head, rows, 512);
    }
}

fn real_head_slice<D: Device>() {
    let mut b = Bench::<D>::real();
    let (head, router) = (
        b.sources.lm_head.clone(),
        b.sources.layers[0].router.clone(),
    );
    for rows in [1, 9] {
        product(&mut b, "head", &head, rows, 512);
        product(&mut b, "router", &router, rows, 512);
    }
}
