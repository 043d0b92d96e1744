//! `kernels/kv_write.cu`, seen through attention: keys and values come back from where they were put.

use ossmark_engine::config::LayerKind;
use ossmark_engine::ops::KvLayer;

use crate::bench::{Bench, Device, and_fp8, kept, on_each_device};
use crate::tiny::Tiny;

on_each_device!(a_dominant_key_gives_back_its_value, every_number);
and_fp8!(every_number);

/// Query head 0 finds one key far above all others: the result is its value.
fn a_dominant_key_gives_back_its_value<D: Device>() {
    // Three layers of each kind, so that a wrong layer index shows.
    let m = Tiny {
        heads: 2,
        kv_heads: 2,
        layers: "wfwfwf",
        window: 64,
        ..Tiny::default()
    };
    let mut b = Bench::<D>::new(&m);
    let source = b.sources.layers[0].attention.sinks.clone();
    let sinks = b.ops.vector(&source).unwrap();
    let (d, rows) = (m.head_dim, 50);
    let cols = 6 * d;
    for kind in [LayerKind::Full, LayerKind::Window] {
        let fill = |layer: usize| -> Vec<f32> {
            let value = |(i, x): (usize, &mut f32)| {
                let (row, col) = (i / cols, i % cols);
                *x = match col / d {
                    0 | 1 => 64.0,
                    // Only position 37 has a key that the queries like.
                    2 | 3 => f32::from(u8::from(row == 37)),
                    _ => (row * 4 + layer) as f32 / 4.0,
                };
            };
            let mut x = vec![0.0; rows * cols];
            x.iter_mut().enumerate().for_each(value);
            x
        };
        b.begin(&[(0, rows)]);
        for layer in 0..3 {
            let qkv = b.filled(&fill(layer), cols);
            b.ops
                .kv_write(&qkv, KvLayer { kind, index: layer })
                .unwrap();
        }
        for layer in 0..3 {
            let qkv = b.filled(&fill(layer), cols);
            let mut out = b.poisoned(rows, 2 * d);
            b.ops
                .attention(&qkv, KvLayer { kind, index: layer }, &sinks, &mut out)
                .unwrap();
            let got = b.read(&out, rows);
            let expected = (37 * 4 + layer) as f32 / 4.0;
            assert!(
                got[49 * 2 * d..].iter().all(|g| *g == expected),
                "{kind:?} layer {layer}: {:?}",
                &got[49 * 2 * d..]
            );
        }
    }
}

/// A row that sees itself alone, with a key far above its sink, gives back its value to the bit: all bf16 numbers.
fn every_number<D: Device>() {
    let m = Tiny {
        heads: 2,
        kv_heads: 2,
        ..Tiny::default()
    };
    let mut b = Bench::<D>::new(&m);
    let source = b.sources.layers[0].attention.sinks.clone();
    let sinks = b.ops.vector(&source).unwrap();
    let (d, rows) = (m.head_dim, 64);
    let layer = KvLayer {
        kind: LayerKind::Full,
        index: 0,
    };
    let numbers: Vec<f32> = (0..=u16::MAX)
        .map(|bits| half::bf16::from_bits(bits).to_f32())
        .filter(|x| x.is_finite())
        .collect();
    for numbers in numbers.chunks(rows * 2 * d) {
        let mut x = vec![16.0; rows * 6 * d];
        for (row, values) in x.chunks_mut(6 * d).zip(numbers.chunks(2 * d)) {
            row[4 * d..][..values.len()].copy_from_slice(values);
        }
        b.begin(&vec![(0, 1); rows]);
        let qkv = b.filled(&x, 6 * d);
        b.ops.kv_write(&qkv, layer).unwrap();
        let mut out = b.poisoned(rows, 2 * d);
        b.ops.attention(&qkv, layer, &sinks, &mut out).unwrap();
        for (got, x) in b.read(&out, rows).iter().zip(numbers) {
            assert_eq!(f64::from(*got), kept(f64::from(*x)), "{x:e}");
        }
    }
}
