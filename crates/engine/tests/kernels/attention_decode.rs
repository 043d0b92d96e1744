//! `kernels/attention_decode.cu`: tiles of 16 positions, turns of 256 and splits of 512, in one block or in several, and
//! windows that begin anywhere.

use ossmark_engine::config::LayerKind;
use ossmark_engine::ops::KvLayer;

use crate::attention_reference::{exact, grow};
use crate::bench::{Bench, Device, and_fp8, check, f64s, kept, on_each_device};
use crate::tiny::Tiny;

on_each_device!(
    tile_edges,
    turn_edges,
    split_edges_511_512_513,
    window_across_splits,
    many_rows_do_all_splits_themselves,
    only_what_is_seen_counts,
    scores_far_apart,
    the_same_bits_in_any_step
);
and_fp8!(
    tile_edges,
    turn_edges,
    split_edges_511_512_513,
    many_rows_do_all_splits_themselves,
    only_what_is_seen_counts,
    scores_far_apart
);

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
    // `attention_combine` takes four splits at a time.
    grow(
        &mut b,
        &[&[1020], &[1020], &[7], &[1], &[1], &[511], &[1]],
        &[2047, 2048, 2560],
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

/// The first and the last tile seen begin and end anywhere.
fn tile_edges<D: Device>() {
    for window in [1, 15, 16, 17, 40] {
        let mut b = Bench::<D>::new(&model(window, 1));
        grow(
            &mut b,
            &[&[1, 13, 15, 14], &[15, 1, 1, 5], &[2, 1, 1, 13]],
            &[],
        );
        grow(
            &mut b,
            &[&[30, 47, 63], &[1, 1, 1], &[1, 1, 1], &[1, 1, 1]],
            &[31, 32, 48, 49, 63, 64, 65],
        );
    }
}

/// A turn of all warps is 256 positions from the first tile seen on, and of eight warps some have nothing to do.
fn turn_edges<D: Device>() {
    let mut b = Bench::<D>::new(&model(250, 2));
    grow(
        &mut b,
        &[&[126, 254, 300], &[1, 1, 1], &[1, 1, 1], &[1, 1, 1]],
        &[126, 127, 128, 254, 255, 256, 300, 301, 302],
    );
}

/// With enough rows, each with all its splits in one block; with a single row, each split in its own.
fn many_rows_do_all_splits_themselves<D: Device>() {
    let mut b = Bench::<D>::new(&model(128, 2));
    grow(
        &mut b,
        &[&[500, 510], &[20, 520], &[9, 10]],
        &[520, 523, 528, 1030, 1039],
    );
    let mut b = Bench::<D>::new(&model(128, 1));
    grow(&mut b, &[&[550], &[40]], &[549, 550, 570, 589]);
}

/// Keys and values of a sequence of `total` positions: those of `range` are written from `x`, the row's elements one after
/// the other.
fn write<D: Device>(
    b: &mut Bench<D>,
    total: usize,
    range: std::ops::Range<usize>,
    layer: KvLayer,
    x: &[f32],
) -> D::Buf {
    let mut plan = b.plan(&[(0, total)]);
    plan.seqs[0].start = range.start as u32;
    plan.seqs[0].inputs.truncate(range.len());
    b.begin_plan(plan);
    let cols = x.len() / range.len();
    let qkv = b.filled(x, cols);
    b.ops.kv_write(&qkv, layer).unwrap();
    qkv
}

/// NaN lies before the window, and behind the row up to the end of its last block.
fn only_what_is_seen_counts<D: Device>() {
    let m = model(21, 1);
    let mut b = Bench::<D>::new(&m);
    let source = b.sources.layers[0].attention.sinks.clone();
    let (sinks, sink_values) = (b.ops.vector(&source).unwrap(), f64s(&source.to_vec()));
    let (cols, width) = (10 * 64, 8 * 64);
    for kind in [LayerKind::Window, LayerKind::Full] {
        for last in [20, 63, 64, 70, 300] {
            let layer = KvLayer { kind, index: 0 };
            let total = last + 40;
            let first = if kind == LayerKind::Window {
                last - 20
            } else {
                0
            };
            let mut x = b.random(total * cols);
            write(
                &mut b,
                total,
                0..total,
                layer,
                &vec![f32::NAN; total * cols],
            );
            write(
                &mut b,
                total,
                first..last + 1,
                layer,
                &x[first * cols..][..(last + 1 - first) * cols],
            );
            let qkv = write(
                &mut b,
                total,
                last..last + 1,
                layer,
                &x[last * cols..][..cols],
            );
            let mut out = b.poisoned(1, width);
            b.ops.attention(&qkv, layer, &sinks, &mut out).unwrap();
            let got = b.read(&out, 1);
            x.iter_mut().enumerate().for_each(|(i, x)| {
                if i % cols >= width {
                    *x = kept(f64::from(*x)) as f32;
                }
            });
            let expected = exact(&m, &sink_values, &f64s(&x), kind, last);
            check(&format!("{kind:?} at {last}"), &got, &expected, 2.0 / 512.0);
        }
    }
}

/// Queries beyond what f16 holds: the best key alone counts, and nothing is NaN.
fn scores_far_apart<D: Device>() {
    let m = model(128, 1);
    let mut b = Bench::<D>::new(&m);
    let source = b.sources.layers[0].attention.sinks.clone();
    let sinks = b.ops.vector(&source).unwrap();
    let (cols, width, total) = (10 * 64, 8 * 64, 600);
    for best in [0, 77, 400, 598] {
        let layer = KvLayer {
            kind: LayerKind::Full,
            index: 0,
        };
        let mut x = b.random(total * cols);
        for (t, row) in x.chunks_exact_mut(cols).enumerate() {
            row[..width].fill(1.0e6);
            row[width..width + 64].fill(if t == best { 2.0 } else { -1.0 });
        }
        write(&mut b, total, 0..total, layer, &x);
        let qkv = write(
            &mut b,
            total,
            total - 1..total,
            layer,
            &x[(total - 1) * cols..],
        );
        let mut out = b.poisoned(1, width);
        b.ops.attention(&qkv, layer, &sinks, &mut out).unwrap();
        let got = b.read(&out, 1);
        let value = &x[best * cols + width + 64..][..64];
        let expected: Vec<f64> = (0..width).map(|i| kept(f64::from(value[i % 64]))).collect();
        check(&format!("the best at {best}"), &got, &expected, 4e-6);
    }
}

/// A row alone, its splits in a block each, and in a step whose rows have one block each.
fn the_same_bits_in_any_step<D: Device>() {
    let mut b = Bench::<D>::new(&model(128, 2));
    let source = b.sources.layers[0].attention.sinks.clone();
    let sinks = b.ops.vector(&source).unwrap();
    let (cols, width, total) = (20 * 64, 16 * 64, 1000);
    let x = b.random(total * cols);
    for kind in [LayerKind::Window, LayerKind::Full] {
        let layer = KvLayer { kind, index: 0 };
        write(&mut b, total, 0..total, layer, &x);
        let row = |b: &mut Bench<D>, others: usize| {
            let mut seqs = vec![(0, total)];
            seqs.resize(1 + others, (0, 1));
            let mut plan = b.plan(&seqs);
            plan.seqs[0].start = total as u32 - 1;
            plan.seqs[0].inputs.truncate(1);
            b.begin_plan(plan);
            let mut rows = x[(total - 1) * cols..].to_vec();
            rows.extend(b.random(others * cols));
            let qkv = b.filled(&rows, cols);
            b.ops.kv_write(&qkv, layer).unwrap();
            let mut out = b.poisoned(1 + others, width);
            b.ops.attention(&qkv, layer, &sinks, &mut out).unwrap();
            b.read(&out, 1)
        };
        let (alone, among) = (row(&mut b, 0), row(&mut b, 20));
        assert!(alone.iter().all(|x| x.is_finite()));
        assert!(
            alone
                .iter()
                .zip(&among)
                .all(|(a, b)| a.to_bits() == b.to_bits()),
            "{kind:?}: a row's bits depend on what else is in the step"
        );
    }
}
