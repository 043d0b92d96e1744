//! `kernels/linear_reference.cu`.

use ossmark_engine::weights::{DenseTensor, LinearSource};

use crate::bench::{Bench, Device, and_reference, check, f64s, on_each_device};
use crate::tiny::Tiny;

on_each_device!(one_tile_to_tile_plus_tail, real_qkv_and_out);
and_reference!(one_tile_to_tile_plus_tail, real_qkv_and_out);

/// `rows` random rows through a matrix, with some of the outputs checked.
pub(crate) fn product<D: Device>(
    b: &mut Bench<D>,
    what: &str,
    source: &LinearSource,
    rows: usize,
    outputs_checked: usize,
) {
    let w = b.ops.linear_weights(source).unwrap();
    let cols = source.weight[0].cols();
    let weight: Vec<f32> = source.weight.iter().flat_map(DenseTensor::to_vec).collect();
    let bias: Vec<f32> = source.bias.iter().flat_map(DenseTensor::to_vec).collect();
    let outs = weight.len() / cols;
    let x = b.random(rows * cols);
    let xb = b.filled(&x, cols);
    let mut out = b.poisoned(rows, outs);
    b.ops.linear(&xb, &w, rows, &mut out).unwrap();
    let got = b.read(&out, rows);
    assert!(
        got.iter().all(|g| g.is_finite()),
        "{what}: not every output was written"
    );
    let chosen: Vec<usize> = if outs <= outputs_checked {
        (0..outs).collect()
    } else {
        (0..outputs_checked).map(|_| b.below(outs)).collect()
    };
    let (mut some, mut expected) = (Vec::new(), Vec::new());
    for r in 0..rows {
        let x = f64s(&x[r * cols..][..cols]);
        for o in &chosen {
            let row = &weight[o * cols..][..cols];
            let dot: f64 = row.iter().zip(&x).map(|(w, x)| f64::from(*w) * x).sum();
            expected.push(dot + bias.get(*o).map_or(0.0, |b| f64::from(*b)));
            some.push(got[r * outs + o]);
        }
    }
    check(
        &format!("{what}, {rows} x {cols} to {outs}"),
        &some,
        &expected,
        4e-5,
    );
}

fn one_tile_to_tile_plus_tail<D: Device>() {
    // 5 and 67 outputs are not whole tiles; qkv comes in three parts.
    let mut b = Bench::<D>::new(&Tiny {
        hidden: 96,
        experts: 5,
        ..Tiny::default()
    });
    let (router, qkv) = (
        b.sources.layers[0].router.clone(),
        b.sources.layers[0].attention.qkv.clone(),
    );
    let head = b.sources.lm_head.clone();
    for rows in [1, 7, 8, 9, 16, 17, 33, 65] {
        product(&mut b, "router", &router, rows, 512);
        product(&mut b, "head", &head, rows, 512);
        product(&mut b, "qkv", &qkv, rows, 512);
    }
}

fn real_qkv_and_out<D: Device>() {
    let mut b = Bench::<D>::real();
    let attention = &b.sources.layers[0].attention;
    let (qkv, out) = (attention.qkv.clone(), attention.out.clone());
    for rows in [1, 17] {
        product(&mut b, "qkv", &qkv, rows, 400);
        product(&mut b, "out", &out, rows, 400);
    }
}
