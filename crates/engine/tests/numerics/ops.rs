//! Single operations on shapes at the edge of a tile, against f64. In bf16 each result must be within half a step of
//! bf16 (and a little for the f32 sum) of the exact one, from the same inputs, and be a bf16 number.

use std::path::Path;

use ossmark_engine::batch::StepBatch;
use ossmark_engine::config::{LayerKind, ModelConfig};
use ossmark_engine::cpu::CpuOps;
use ossmark_engine::executor::{BlockTable, Capacity, InputToken, StepPlan, StepSeq};
use ossmark_engine::ops::{KvLayer, Ops};
use ossmark_engine::weights::{Checkpoint, ModelSources};

use crate::reference;
use crate::tiny::{Random, Tiny};

pub(crate) struct Bench {
    pub(crate) ops: CpuOps,
    pub(crate) sources: ModelSources,
    bf16: bool,
}

fn capacity(m: &Tiny) -> Capacity {
    Capacity {
        n_blocks: 256,
        block_size: 16,
        window: Some(m.window as u32),
        has_full: true,
        max_step_tokens: 512,
        max_seqs: 4,
        max_context: 4096,
        vocab_size: m.vocab as u32,
        draft_tokens: 0,
    }
}

impl Bench {
    pub(crate) fn new(m: &Tiny, dir: &Path, bf16: bool) -> Self {
        let checkpoint = Checkpoint::open(dir).unwrap();
        let config = ModelConfig::load(checkpoint.dir()).unwrap();
        let sources = ModelSources::find(&checkpoint, &config).unwrap();
        Self {
            ops: CpuOps::new(&config, &capacity(m), bf16, 2).unwrap(),
            sources,
            bf16,
        }
    }

    /// One sequence of `rows` rows from `start`, with its blocks.
    pub(crate) fn begin(&mut self, m: &Tiny, start: u32, rows: usize) {
        let blocks = |first: u32| BlockTable {
            first_block: 0,
            blocks: (first..first + 128).collect(),
        };
        let seq = StepSeq {
            slot: 0,
            start,
            inputs: vec![InputToken::Known(0); rows],
            full: blocks(0),
            window: blocks(128),
            sample: None,
            want_logits: false,
            ..StepSeq::default()
        };
        let batch = StepBatch::new(&StepPlan { seqs: vec![seq] }, &capacity(m)).unwrap();
        self.ops.begin(&batch).unwrap();
    }

    pub(crate) fn random(&self, n: usize, seed: u64) -> Vec<f32> {
        let mut random = Random(seed);
        let round = |x: f32| {
            if self.bf16 {
                half::bf16::from_f32(x).to_f32()
            } else {
                x
            }
        };
        (0..n).map(|_| round(2.0 * random.signed())).collect()
    }

    /// `sums`: what the largest intermediate sum may be, for the f32 share of the tolerance.
    fn check(&self, what: &str, got: &[f32], expected: &[f64], sums: f64) {
        assert_eq!(got.len(), expected.len(), "{what}");
        let mut worst = (0.0, 0);
        for (i, (g, e)) in got.iter().zip(expected).enumerate() {
            let step = if self.bf16 { e.abs() / 256.0 } else { 0.0 };
            let share = (f64::from(*g) - e).abs() / (step + 4e-6 * sums);
            if share.is_nan() || share > worst.0 {
                worst = (share, i);
            }
            assert!(
                !self.bf16 || half::bf16::from_f32(*g).to_f32() == *g,
                "{what}: {g} is not a bf16 number"
            );
        }
        let (share, at) = worst;
        assert!(
            share <= 1.0,
            "{what}: {:.0}% of the tolerance at {at}: {} for {}",
            share * 100.0,
            got[at],
            expected[at]
        );
    }
}

fn both(m: &Tiny, test: impl Fn(&mut Bench)) {
    let dir = m.folder();
    for bf16 in [false, true] {
        test(&mut Bench::new(m, dir.path(), bf16));
    }
}

const ROWS: [usize; 6] = [1, 7, 8, 9, 16, 33];

fn f64s(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

#[test]
fn linear_one_row_to_tile_plus_tail_with_odd_outputs() {
    // 5 and 67 outputs are not whole groups of eight; qkv comes in three parts.
    let m = Tiny {
        experts: 5,
        ..Tiny::default()
    };
    both(&m, |b| {
        let layer = &b.sources.layers[0];
        for source in [
            layer.router.clone(),
            b.sources.lm_head.clone(),
            layer.attention.qkv.clone(),
        ] {
            let w = b.ops.linear_weights(&source).unwrap();
            let weight: Vec<f64> = source
                .weight
                .iter()
                .flat_map(|t| f64s(&t.to_vec()))
                .collect();
            let bias: Vec<f64> = source.bias.iter().flat_map(|t| f64s(&t.to_vec())).collect();
            let outputs = weight.len() / m.hidden;
            for rows in ROWS {
                let x = b.random(rows * m.hidden, rows as u64);
                let (mut xb, mut out) = (
                    b.ops.buf(rows, m.hidden).unwrap(),
                    b.ops.buf(rows, outputs).unwrap(),
                );
                b.ops.write(&mut xb, &x).unwrap();
                b.ops.linear(&xb, &w, rows, &mut out).unwrap();
                let expected: Vec<f64> = f64s(&x)
                    .chunks(m.hidden)
                    .flat_map(|x| {
                        let dot = |w: &[f64]| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
                        let bias = bias.iter().copied().chain(std::iter::repeat(0.0));
                        weight
                            .chunks(m.hidden)
                            .map(dot)
                            .zip(bias)
                            .map(|(y, b)| y + b)
                            .collect::<Vec<_>>()
                    })
                    .collect();
                let got = b.ops.read(&out, rows).unwrap();
                b.check(&format!("linear {rows} x {outputs}"), &got, &expected, 10.0);
            }
        }
    });
}

#[test]
fn rmsnorm_and_residual() {
    let m = Tiny::default();
    both(&m, |b| {
        let source = b.sources.norm.clone();
        let w = b.ops.vector(&source).unwrap();
        for rows in ROWS {
            b.begin(&m, 0, rows);
            let (x, d) = (b.random(rows * m.hidden, 1), b.random(rows * m.hidden, 2));
            let mut bufs = [0; 3].map(|_| b.ops.buf(rows, m.hidden).unwrap());
            let [xb, db, out] = &mut bufs;
            b.ops.write(xb, &x).unwrap();
            b.ops.write(db, &d).unwrap();
            b.ops.add_rmsnorm(xb, db, &w, rows, out).unwrap();
            let sum = b.ops.read(xb, rows).unwrap();
            let expected: Vec<f64> = x
                .iter()
                .zip(&d)
                .map(|(x, d)| f64::from(*x) + f64::from(*d))
                .collect();
            b.check("add", &sum, &expected, 1.0);
            let weight = f64s(&source.to_vec());
            let expected: Vec<f64> = f64s(&sum)
                .chunks(m.hidden)
                .flat_map(|x| reference::rmsnorm(x, &weight))
                .collect();
            let got = b.ops.read(out, rows).unwrap();
            b.check("rmsnorm", &got, &expected, 1.0);
        }
    });
}

#[test]
fn rope_near_and_far() {
    let m = Tiny {
        original_context: 64,
        ..Tiny::default()
    };
    both(&m, |b| {
        for (start, rows) in [(0, 9), (63, 3), (2000, 17)] {
            b.begin(&m, start, rows);
            let cols = (m.heads + 2 * m.kv_heads) * m.head_dim;
            let x = b.random(rows * cols, 5);
            let mut qkv = b.ops.buf(rows, cols).unwrap();
            b.ops.write(&mut qkv, &x).unwrap();
            b.ops.rope(&mut qkv).unwrap();
            let mut expected = f64s(&x);
            for (r, row) in expected.chunks_mut(cols).enumerate() {
                for head in row[..(m.heads + m.kv_heads) * m.head_dim].chunks_mut(m.head_dim) {
                    reference::rotate(head, start as usize + r, &m);
                }
            }
            let got = b.ops.read(&qkv, rows).unwrap();
            // A frequency may differ in its last bit, and the angle counts it 2000 times.
            b.check(
                &format!("rope from {start}"),
                &got,
                &expected,
                if start > 1000 { 100.0 } else { 4.0 },
            );
        }
    });
}

#[test]
fn attention_window_edge_127_128_129() {
    let m = Tiny {
        window: 128,
        heads: 8,
        kv_heads: 1,
        ..Tiny::default()
    };
    both(&m, |b| {
        let source = b.sources.layers[0].attention.sinks.clone();
        let sinks = b.ops.vector(&source).unwrap();
        let sink = f64s(&source.to_vec());
        let (d, rows) = (m.head_dim, 130);
        let cols = (m.heads + 2 * m.kv_heads) * d;
        let x = b.random(rows * cols, 3);
        for kind in [LayerKind::Window, LayerKind::Full] {
            b.begin(&m, 0, rows);
            let layer = KvLayer { kind, index: 0 };
            let (mut qkv, mut out) = (
                b.ops.buf(rows, cols).unwrap(),
                b.ops.buf(rows, m.heads * d).unwrap(),
            );
            b.ops.write(&mut qkv, &x).unwrap();
            b.ops.kv_write(&qkv, layer).unwrap();
            b.ops.attention(&qkv, layer, &sinks, &mut out).unwrap();
            let got = b.ops.read(&out, rows).unwrap();
            let all = f64s(&x);
            for t in [0, 1, 126, 127, 128, 129] {
                let first = if kind == LayerKind::Window {
                    (t + 1_usize).saturating_sub(128)
                } else {
                    0
                };
                let at = |row: usize, head: usize| &all[row * cols + head * d..][..d];
                let mut expected = Vec::new();
                for (h, sink) in sink.iter().enumerate() {
                    let score = |s: usize| {
                        at(t, h)
                            .iter()
                            .zip(at(s, m.heads))
                            .map(|(q, k)| q * k)
                            .sum::<f64>()
                            / (d as f64).sqrt()
                    };
                    let p: Vec<f64> = (first..=t).map(|s| score(s).exp()).collect();
                    let total = sink.exp() + p.iter().sum::<f64>();
                    let value = |e: usize| {
                        (first..=t)
                            .zip(&p)
                            .map(|(s, p)| p * at(s, m.heads + 1)[e])
                            .sum::<f64>()
                    };
                    expected.extend((0..d).map(|e| value(e) / total));
                }
                let what = format!("{kind:?} attention at {t}");
                b.check(
                    &what,
                    &got[t * m.heads * d..][..m.heads * d],
                    &expected,
                    1.0,
                );
            }
        }
    });
}

/// Rows' router logits so that row `r` prefers `choice(r)`, then others in order.
fn experts(choice: impl Fn(usize) -> usize, rows: usize) {
    let m = Tiny {
        experts: 5,
        top_k: 2,
        ..Tiny::default()
    };
    both(&m, |b| {
        b.begin(&m, 0, rows);
        let source = b.sources.layers[0].experts.clone();
        let w = b.ops.expert_weights(&source).unwrap();
        let mut routing = b.ops.routing(rows).unwrap();
        let x = b.random(rows * m.hidden, 4);
        let wish = |r: usize, e: usize| {
            if e == choice(r) {
                2.0
            } else {
                -(e as f32) / 4.0
            }
        };
        let logits: Vec<f32> = (0..rows)
            .flat_map(|r| (0..m.experts).map(move |e| (r, e)))
            .map(|(r, e)| wish(r, e))
            .collect();
        let (mut xb, mut out) = (
            b.ops.buf(rows, m.hidden).unwrap(),
            b.ops.buf(rows, m.hidden).unwrap(),
        );
        let mut logits_buf = b.ops.buf(rows, m.experts).unwrap();
        b.ops.write(&mut xb, &x).unwrap();
        b.ops.write(&mut logits_buf, &logits).unwrap();
        b.ops.route(&logits_buf, &mut routing).unwrap();
        b.ops.moe_gate_up(&xb, &w, &mut routing).unwrap();
        b.ops.moe_down(&mut routing, &w, &mut out).unwrap();
        let got = b.ops.read(&out, rows).unwrap();
        let tensors = m.tensors();
        let mut expected = Vec::new();
        for r in 0..rows {
            let first = choice(r);
            let second = usize::from(first == 0);
            let weight = (f64::from(wish(r, second)) - 2.0).exp();
            let share = [
                (first, 1.0 / (1.0 + weight)),
                (second, weight / (1.0 + weight)),
            ];
            let row = f64s(&x[r * m.hidden..][..m.hidden]);
            let round = |v: f64| {
                if b.bf16 {
                    f64::from(half::bf16::from_f32(v as f32).to_f32())
                } else {
                    v
                }
            };
            expected.extend(reference::experts(&m, &tensors, 0, &row, &share, round));
        }
        // Within the operation, a rounding of an intermediate value may fall to the other side.
        b.check(
            &format!("experts, {rows} rows"),
            &got,
            &expected,
            if b.bf16 { 2000.0 } else { 4.0 },
        );
    });
}

#[test]
fn all_tokens_one_expert() {
    experts(|_| 3, 17);
}

#[test]
fn empty_expert() {
    experts(|r| [0, 1, 4][r % 3], 25);
}

#[test]
fn one_token() {
    experts(|_| 2, 1);
}
