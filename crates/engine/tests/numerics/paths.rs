//! The same bits from every set of vector instructions, for any number of rows: those of one chain of fused multiply-adds.

use ossmark_engine::config::{LayerKind, ModelConfig};
use ossmark_engine::cpu::{CpuExperts, Repack, Simd};
use ossmark_engine::ops::Ops;
use ossmark_engine::weights::{ModelSources, Placement, Synthetic, gpt_oss_120b};
use ossmark_engine::{CpuSettings, Dtype};
use safetensors::Dtype as Stored;

use crate::drive::{Seq, alone, load, run, settings};
use crate::ops::Bench;
use crate::tiny::{Random, Tensor, Tiny, write_tensors};

/// Odd numbers of outputs (67 and 5), and rows of 36 and 108 columns, which are not whole chunks of bf16 or f32.
fn odd() -> Tiny {
    Tiny {
        experts: 5,
        heads: 3,
        kv_heads: 1,
        head_dim: 36,
        hidden: 96,
        inter: 160,
        ..Tiny::default()
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Two executors that differ must say where, not print all they have.
fn same(what: &str, got: &[f32], expected: &[f32]) {
    let (got, expected) = (bits(got), bits(expected));
    assert_eq!(got.len(), expected.len(), "{what}");
    let different = (0..got.len()).find(|i| got[*i] != expected[*i]);
    assert_eq!(different, None, "{what}: the first number that differs");
}

/// The tensor in f32, so that its last bits are not zeros.
fn widened(t: &Tensor) -> Tensor {
    let mut random = Random(3);
    let values = t.data.as_chunks::<2>().0.iter().flat_map(|b| {
        let low = random.next() as u16;
        [low.to_le_bytes(), *b].concat()
    });
    Tensor {
        dtype: Stored::F32,
        shape: t.shape.clone(),
        data: values.collect(),
    }
}

#[test]
fn linear_is_one_chain_for_1_to_65_rows() {
    let m = odd();
    let mut tensors = m.tensors();
    let head = tensors.get_mut("lm_head.weight").unwrap();
    *head = widened(head);
    let dir = tempfile::tempdir().unwrap();
    m.write(dir.path());
    write_tensors(&dir.path().join("model.safetensors"), &tensors);
    for (simd, bf16) in Simd::available()
        .into_iter()
        .flat_map(|s| [(s, false), (s, true)])
    {
        let mut b = Bench::new(&m, dir.path(), bf16);
        b.ops.set_simd(simd);
        let attention = &b.sources.layers[0].attention;
        for source in [
            b.sources.layers[0].router.clone(),
            b.sources.lm_head.clone(),
            attention.qkv.clone(),
            attention.out.clone(),
        ] {
            let w = b.ops.linear_weights(&source).unwrap();
            let cols = source.weight[0].cols();
            let weight: Vec<f32> = source.weight.iter().flat_map(|t| t.to_vec()).collect();
            let mut bias: Vec<f32> = source.bias.iter().flat_map(|t| t.to_vec()).collect();
            let outputs = weight.len() / cols;
            bias.resize(outputs, 0.0);
            for rows in 1..=65 {
                let x = b.random(rows * cols, rows as u64);
                let (mut xb, mut out) = (
                    b.ops.buf(rows, cols).unwrap(),
                    b.ops.buf(rows, outputs).unwrap(),
                );
                b.ops.write(&mut xb, &x).unwrap();
                b.ops.linear(&xb, &w, rows, &mut out).unwrap();
                let mut expected = Vec::new();
                for x in x.chunks(cols) {
                    for (w, bias) in weight.chunks(cols).zip(&bias) {
                        let sum = x.iter().zip(w).fold(0.0, |s, (x, w)| w.mul_add(*x, s)) + bias;
                        expected.push(if bf16 {
                            half::bf16::from_f32(sum).to_f32()
                        } else {
                            sum
                        });
                    }
                }
                let got = b.ops.read(&out, rows).unwrap();
                let what = format!("{simd}, bf16 {bf16}, {rows} rows of {cols} to {outputs}");
                same(&what, &got, &expected);
            }
        }
    }
}

/// Each row alone on the plain path, against all of them together on each.
#[test]
fn experts_give_the_same_bits_for_1_to_65_rows() {
    let m = odd();
    let dir = m.folder();
    for bf16 in [false, true] {
        let mut b = Bench::new(&m, dir.path(), bf16);
        let source = b.sources.layers[0].experts.clone();
        let shipped = b.ops.expert_weights(&source).unwrap();
        b.ops.set_repack(true);
        let copied = b.ops.expert_weights(&source).unwrap();
        let most = 65;
        let x = b.random(most * m.hidden, 4);
        let logits = b.random(most * m.experts, 5);
        let mut compute = |simd, w: &CpuExperts, rows: std::ops::Range<usize>| {
            let n = rows.len();
            b.ops.set_simd(simd);
            b.begin(&m, 0, n);
            let mut routing = b.ops.routing(n).unwrap();
            let mut xb = b.ops.buf(n, m.hidden).unwrap();
            let mut out = b.ops.buf(n, m.hidden).unwrap();
            let mut lb = b.ops.buf(n, m.experts).unwrap();
            let part = |all: &[f32], width| all[rows.start * width..rows.end * width].to_vec();
            b.ops.write(&mut xb, &part(&x, m.hidden)).unwrap();
            b.ops.write(&mut lb, &part(&logits, m.experts)).unwrap();
            b.ops.route(&lb, &mut routing).unwrap();
            b.ops.moe_gate_up(&xb, w, &mut routing).unwrap();
            b.ops.moe_down(&mut routing, w, &mut out).unwrap();
            b.ops.read(&out, n).unwrap()
        };
        let plain = *Simd::available().last().unwrap();
        let alone = (0..most).flat_map(|r| compute(plain, &shipped, r..r + 1));
        let expected: Vec<f32> = alone.collect();
        for simd in Simd::available() {
            for rows in 1..=most {
                for (w, order) in [(&shipped, "as shipped"), (&copied, "copied")] {
                    let what = format!("{simd}, bf16 {bf16}, {rows} rows, {order}");
                    let got = compute(simd, w, 0..rows);
                    same(&what, &got, &expected[..rows * m.hidden]);
                }
            }
        }
    }
}

#[test]
fn weights_that_are_nowhere_are_refused() {
    let m = Tiny::default();
    let mut b = Bench::new(&m, m.folder().path(), false);
    let config = ModelConfig {
        layers: vec![LayerKind::Full],
        ..gpt_oss_120b()
    };
    let made = Synthetic::seeded(1);
    let nowhere = ModelSources::synthetic(&config, made, Placement::OnDevice).unwrap();
    let dense = b.ops.linear_weights(&nowhere.lm_head).err();
    let experts = b.ops.expert_weights(&nowhere.layers[0].experts).err();
    for error in [dense, experts] {
        assert!(error.unwrap().to_string().contains("in memory"));
    }
}

#[test]
fn whole_models_give_the_same_bits_on_every_path() {
    for m in [Tiny::default(), odd()] {
        let dir = m.folder();
        for dtype in [Dtype::F32, Dtype::Bf16] {
            let prompts = [m.prompt(33), m.prompt(7), m.prompt(1)];
            let logits = |simd, repack| {
                let settings = CpuSettings {
                    simd: Some(simd),
                    repack,
                    ..settings(dtype)
                };
                let mut exec = load(dir.path(), &settings);
                let mut all = alone(&mut *exec, &prompts[0], 5, 512).logits;
                let mut together = prompts.clone().map(|p| Seq::new(&p));
                run(&mut *exec, &mut together, 5, 16, true, true);
                all.extend(together.iter().flat_map(|s| &s.logits));
                all
            };
            let plain = logits(*Simd::available().last().unwrap(), Repack::Off);
            for simd in Simd::available() {
                for repack in [Repack::On, Repack::Off] {
                    let what = format!("{simd}, {dtype:?}, {repack:?}");
                    same(&what, &logits(simd, repack), &plain);
                }
            }
        }
    }
}
