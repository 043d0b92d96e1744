//! `kernels/linear_wgmma.cu`: rows around the halves of a block and its end, outputs that are not whole blocks, fewer steps
//! than stages, columns in parts (the emulator has four multiprocessors), the real columns. The variant needs 64 rows.

use crate::bench::{Bench, Device, on_each_device};
use crate::linear_reference::product;
use crate::tiny::Tiny;

on_each_device!(
    rows_around_halves_and_blocks,
    outputs_around_blocks,
    steps_around_the_stages,
    real_columns
);

fn rows_around_halves_and_blocks<D: Device>() {
    let mut b = Bench::<D>::new(&Tiny {
        hidden: 64,
        experts: 24,
        ..Tiny::default()
    });
    let router = b.sources.layers[0].router.clone();
    for rows in [
        64, 65, 127, 128, 129, 191, 192, 193, 255, 256, 257, 320, 385,
    ] {
        product(&mut b, "router", &router, rows, 512);
    }
}

fn outputs_around_blocks<D: Device>() {
    // No bias; 512 outputs with one, in three parts.
    for vocab in [8, 152, 160, 168, 320, 328] {
        let mut b = Bench::<D>::new(&Tiny {
            hidden: 64,
            vocab,
            ..Tiny::default()
        });
        let head = b.sources.lm_head.clone();
        product(&mut b, "head", &head, 70, 512);
    }
    let mut b = Bench::<D>::new(&Tiny::default());
    let qkv = b.sources.layers[0].attention.qkv.clone();
    product(&mut b, "qkv", &qkv, 150, 512);
}

fn steps_around_the_stages<D: Device>() {
    for steps in [1, 2, 3, 4, 5, 6, 11] {
        let mut b = Bench::<D>::new(&Tiny {
            hidden: 64 * steps,
            experts: 16,
            ..Tiny::default()
        });
        let router = b.sources.layers[0].router.clone();
        product(&mut b, "router", &router, 200, 512);
        // Two tiles, and so many columns that two blocks share each.
        if steps == 11 {
            product(&mut b, "router", &router, 300, 512);
        }
    }
}

fn real_columns<D: Device>() {
    let mut b = Bench::<D>::real();
    let (head, out) = (
        b.sources.lm_head.clone(),
        b.sources.layers[0].attention.out.clone(),
    );
    product(&mut b, "head", &head, 130, 512);
    product(&mut b, "out", &out, 65, 40);
}
