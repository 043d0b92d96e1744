//! `kernels/attention_reference.cu`.

use ossmark_engine::KvDtype;
use ossmark_engine::config::LayerKind;
use ossmark_engine::ops::KvLayer;

use crate::bench::{
    BLOCK, Bench, Device, KV, REFERENCE, and_fp8, and_reference, check, f64s, kept, on_each_device,
    real_widths,
};
use crate::tiny::Tiny;

on_each_device!(
    window_edge_127_128_129,
    real_heads,
    odd_heads_and_head_dim,
    decode_after_prefill,
    several_sequences,
    other_block_sizes,
);
and_reference!(
    window_edge_127_128_129,
    real_heads,
    odd_heads_and_head_dim,
    decode_after_prefill,
    several_sequences,
);
and_fp8!(
    window_edge_127_128_129,
    odd_heads_and_head_dim,
    decode_after_prefill,
    several_sequences,
);

/// What row `t` of a sequence sees, in f64. `x` is the sequence's qkv from position 0 on.
pub(crate) fn exact(m: &Tiny, sinks: &[f64], x: &[f64], kind: LayerKind, t: usize) -> Vec<f64> {
    let d = m.head_dim;
    let cols = (m.heads + 2 * m.kv_heads) * d;
    let first = if kind == LayerKind::Window {
        (t + 1).saturating_sub(m.window)
    } else {
        0
    };
    let at = |row: usize, head: usize| &x[row * cols + head * d..][..d];
    let mut out = Vec::new();
    for (h, sink) in sinks.iter().enumerate() {
        let kv = m.heads + h / (m.heads / m.kv_heads);
        let dot = |s: usize| {
            at(t, h)
                .iter()
                .zip(at(s, kv))
                .map(|(q, k)| q * k)
                .sum::<f64>()
                / (d as f64).sqrt()
        };
        let scores: Vec<f64> = (first..=t).map(dot).collect();
        let max = scores.iter().copied().fold(*sink, f64::max);
        let p: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
        let total = (sink - max).exp() + p.iter().sum::<f64>();
        let value = |e: usize| {
            (first..=t)
                .zip(&p)
                .map(|(s, p)| p * at(s, kv + m.kv_heads)[e])
                .sum::<f64>()
                / total
        };
        out.extend((0..d).map(value));
    }
    out
}

/// For f32 sums; and where the tensor cores take weights in bf16, half a step of that of values below 2. In fp8 and for few
/// rows, weights are f16, whose step is an eighth of that.
fn slack<D: Device>(m: &Tiny, rows: usize) -> f64 {
    let packed = m.head_dim == 64 && m.heads == 8 * m.kv_heads;
    if !D::HAS_TENSOR_CORES || REFERENCE.get() || !packed {
        4e-6
    } else if rows < 16 && KV.get() == KvDtype::Fp8 {
        2.0 / 4096.0
    } else {
        2.0 / 512.0
    }
}

/// Sequences that grow by these numbers of rows, step by step; all sequences in each step. In steps without a position that
/// is checked, keys and values are written and nothing else.
pub(crate) fn grow<D: Device>(b: &mut Bench<D>, steps: &[&[usize]], checked: &[usize]) {
    let m = b.m.clone();
    let source = b.sources.layers[0].attention.sinks.clone();
    let (sinks, sink_values) = (b.ops.vector(&source).unwrap(), f64s(&source.to_vec()));
    let cols = (m.heads + 2 * m.kv_heads) * m.head_dim;
    let width = m.heads * m.head_dim;
    let n = steps[0].len();
    let totals: Vec<usize> = (0..n).map(|i| steps.iter().map(|s| s[i]).sum()).collect();
    let x: Vec<Vec<f32>> = totals.iter().map(|t| b.random(t * cols)).collect();
    let queries = m.heads * m.head_dim;
    let seen: Vec<Vec<f64>> = x
        .iter()
        .map(|x| {
            let value = |(i, x): (usize, &f32)| match i % cols {
                col if col < queries => f64::from(*x),
                _ => kept(f64::from(*x)),
            };
            x.iter().enumerate().map(value).collect()
        })
        .collect();
    for kind in [LayerKind::Window, LayerKind::Full] {
        let layer = KvLayer { kind, index: 0 };
        let mut starts = vec![0; n];
        for step in steps {
            // The same blocks in every step: tables are laid out for the whole sequences.
            let mut plan = b.plan(&totals.iter().map(|t| (0, *t)).collect::<Vec<_>>());
            for (seq, (start, rows)) in plan.seqs.iter_mut().zip(starts.iter().zip(*step)) {
                seq.start = *start as u32;
                seq.inputs.truncate(*rows);
            }
            plan.seqs.retain(|s| !s.inputs.is_empty());
            b.begin_plan(plan);
            let rows: Vec<f32> = (0..n)
                .flat_map(|i| x[i][starts[i] * cols..][..step[i] * cols].to_vec())
                .collect();
            let n_rows = rows.len() / cols;
            let qkv = b.filled(&rows, cols);
            b.ops.kv_write(&qkv, layer).unwrap();
            let looked_at =
                |i: usize| (starts[i]..starts[i] + step[i]).any(|t| checked.contains(&t));
            if !checked.is_empty() && !(0..n).any(looked_at) {
                starts
                    .iter_mut()
                    .zip(*step)
                    .for_each(|(start, n)| *start += n);
                continue;
            }
            let mut out = b.poisoned(n_rows, width);
            b.ops.attention(&qkv, layer, &sinks, &mut out).unwrap();
            let got = b.read(&out, n_rows);
            assert!(
                got.iter().all(|g| g.is_finite()),
                "{kind:?}: not every output was written"
            );
            let mut row = 0;
            for i in 0..n {
                for t in starts[i]..starts[i] + step[i] {
                    if checked.is_empty() || checked.contains(&t) {
                        let expected = exact(&m, &sink_values, &seen[i], kind, t);
                        check(
                            &format!("{kind:?} sequence {i} at {t}"),
                            &got[row * width..][..width],
                            &expected,
                            slack::<D>(&m, step[i]),
                        );
                    }
                    row += 1;
                }
                starts[i] += step[i];
            }
        }
    }
}

fn window_edge_127_128_129<D: Device>() {
    let mut b = Bench::<D>::new(&Tiny {
        window: 128,
        heads: 8,
        kv_heads: 1,
        ..Tiny::default()
    });
    grow(&mut b, &[&[130]], &[0, 1, 15, 16, 126, 127, 128, 129]);
}

fn real_heads<D: Device>() {
    let m = Tiny {
        vocab: 64,
        hidden: 64,
        inter: 32,
        experts: 1,
        top_k: 1,
        ..real_widths()
    };
    grow(&mut Bench::<D>::new(&m), &[&[145], &[1]], &[0, 144, 145]);
}

fn odd_heads_and_head_dim<D: Device>() {
    grow(
        &mut Bench::<D>::new(&Tiny {
            heads: 11,
            kv_heads: 1,
            ..Tiny::default()
        }),
        &[&[19]],
        &[],
    );
    grow(
        &mut Bench::<D>::new(&Tiny {
            heads: 3,
            kv_heads: 3,
            head_dim: 36,
            ..Tiny::default()
        }),
        &[&[20]],
        &[],
    );
    grow(
        &mut Bench::<D>::new(&Tiny {
            heads: 2,
            kv_heads: 1,
            head_dim: 160,
            ..Tiny::default()
        }),
        &[&[9]],
        &[],
    );
}

fn decode_after_prefill<D: Device>() {
    let mut b = Bench::<D>::new(&Tiny {
        window: 32,
        heads: 16,
        kv_heads: 2,
        ..Tiny::default()
    });
    grow(
        &mut b,
        &[&[31], &[1], &[1], &[7], &[1]],
        &[30, 31, 32, 33, 39, 40],
    );
}

fn several_sequences<D: Device>() {
    let mut b = Bench::<D>::new(&Tiny {
        window: 16,
        heads: 8,
        kv_heads: 1,
        ..Tiny::default()
    });
    grow(
        &mut b,
        &[&[1, 17, 40, 300], &[1, 1, 5, 1]],
        &[0, 16, 17, 39, 44, 299, 300],
    );
}

/// Sizes that not every kernel takes.
fn other_block_sizes<D: Device>() {
    for block in [5, 48] {
        BLOCK.set(block);
        let mut b = Bench::<D>::new(&Tiny {
            window: 16,
            heads: 8,
            kv_heads: 1,
            ..Tiny::default()
        });
        grow(&mut b, &[&[17, 60], &[1, 3]], &[0, 16, 17, 59, 62]);
    }
}
