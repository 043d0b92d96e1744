//! gpt-oss once more, in f64, as plainly as it can be said: no cache, no pages, no batches, no tiles, its own decoding.

use safetensors::Dtype;

use crate::tiny::{Tensor, Tensors, Tiny};

const FP4: [f64; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];

fn dense(t: &Tensor) -> Vec<f64> {
    assert_eq!(t.dtype, Dtype::BF16);
    let value = |b: &[u8]| f64::from(half::bf16::from_le_bytes([b[0], b[1]]).to_f32());
    t.data.chunks(2).map(value).collect()
}

/// Expert `e`'s matrix, `[out][in]`.
fn expert(blocks: &Tensor, scales: &Tensor, e: usize) -> Vec<Vec<f64>> {
    let (out, groups) = (scales.shape[1], scales.shape[2]);
    let value = |o: usize, i: usize| {
        let group = (e * out + o) * groups + i / 32;
        let byte = blocks.data[group * 16 + i % 32 / 2];
        let nibble = if i.is_multiple_of(2) {
            byte & 15
        } else {
            byte >> 4
        };
        let sign = if nibble & 8 == 0 { 1.0 } else { -1.0 };
        sign * FP4[usize::from(nibble & 7)] * 2_f64.powi(i32::from(scales.data[group]) - 127)
    };
    (0..out)
        .map(|o| (0..groups * 32).map(|i| value(o, i)).collect())
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn linear(x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    w.chunks(x.len())
        .zip(b)
        .map(|(row, b)| dot(row, x) + b)
        .collect()
}

pub(crate) fn rmsnorm(x: &[f64], w: &[f64]) -> Vec<f64> {
    let scale = 1.0 / (dot(x, x) / x.len() as f64 + 1e-5).sqrt();
    x.iter().zip(w).map(|(x, w)| x * scale * w).collect()
}

/// One head at one position.
pub(crate) fn rotate(head: &mut [f64], position: usize, m: &Tiny) {
    let half = head.len() / 2;
    let (d, base, tau) = (head.len() as f64, 150_000_f64, std::f64::consts::TAU);
    let (context, factor) = (m.original_context as f64, m.factor as f64);
    let edge = |turns: f64| d * (context / (turns * tau)).ln() / (2.0 * base.ln());
    let (low, high) = (edge(32.0).max(0.0), edge(1.0).min(d - 1.0));
    let concentration = 0.1 * factor.ln() + 1.0;
    for i in 0..half {
        let f = base.powf(-2.0 * i as f64 / d);
        let ramp = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
        // The engine's frequency and angle are f32, as Hugging Face's are: at position 10,000 the difference counts.
        let angle = f64::from((f / factor * ramp + f * (1.0 - ramp)) as f32 * position as f32);
        let (sin, cos) = (angle.sin() * concentration, angle.cos() * concentration);
        let (a, b) = (head[i], head[i + half]);
        (head[i], head[i + half]) = (a * cos - b * sin, b * cos + a * sin);
    }
}

/// Logits after each token, `[tokens][vocab]`.
pub(crate) fn logits(m: &Tiny, tensors: &Tensors, tokens: &[u32]) -> Vec<f64> {
    let get = |name: &str| dense(&tensors[name]);
    let embedding = get("model.embed_tokens.weight");
    let mut x: Vec<Vec<f64>> = tokens
        .iter()
        .map(|t| embedding[*t as usize * m.hidden..][..m.hidden].to_vec())
        .collect();
    let d = m.head_dim;
    for (i, kind) in m.layers.chars().enumerate() {
        let raw = |name: &str| &tensors[&format!("model.layers.{i}.{name}")];
        let get = |name: &str| dense(raw(name));
        let norm = get("input_layernorm.weight");
        let project = |p: &str, turn: bool| -> Vec<Vec<f64>> {
            let (w, b) = (
                get(&format!("self_attn.{p}_proj.weight")),
                get(&format!("self_attn.{p}_proj.bias")),
            );
            let heads = x.iter().enumerate().map(|(position, x)| {
                let mut y = linear(&rmsnorm(x, &norm), &w, &b);
                if turn {
                    y.chunks_mut(d).for_each(|head| rotate(head, position, m));
                }
                y
            });
            heads.collect()
        };
        let (q, k, v) = (project("q", true), project("k", true), project("v", false));
        let sinks = get("self_attn.sinks");
        let (wo, bo) = (get("self_attn.o_proj.weight"), get("self_attn.o_proj.bias"));
        for (t, x) in x.iter_mut().enumerate() {
            let first = if kind == 'w' {
                (t + 1).saturating_sub(m.window)
            } else {
                0
            };
            let mut attended = Vec::new();
            for (h, sink) in sinks.iter().enumerate() {
                let kv = h / (m.heads / m.kv_heads) * d;
                let q = &q[t][h * d..][..d];
                let scores: Vec<f64> = (first..=t)
                    .map(|s| dot(q, &k[s][kv..][..d]) / (d as f64).sqrt())
                    .collect();
                let total: f64 = sink.exp() + scores.iter().map(|s| s.exp()).sum::<f64>();
                for e in 0..d {
                    let sum: f64 = (first..=t)
                        .zip(&scores)
                        .map(|(s, score)| score.exp() * v[s][kv + e])
                        .sum();
                    attended.push(sum / total);
                }
            }
            for (x, y) in x.iter_mut().zip(linear(&attended, &wo, &bo)) {
                *x += y;
            }
        }
        let norm = get("post_attention_layernorm.weight");
        let (router, router_bias) = (get("mlp.router.weight"), get("mlp.router.bias"));
        for x in &mut x {
            let y = rmsnorm(x, &norm);
            let mut scored: Vec<(f64, usize)> = linear(&y, &router, &router_bias)
                .into_iter()
                .zip(0..)
                .collect();
            scored.sort_by(|a, b| b.0.total_cmp(&a.0));
            let best = &scored[..m.top_k];
            let total: f64 = best.iter().map(|(l, _)| l.exp()).sum();
            let shares: Vec<(usize, f64)> =
                best.iter().map(|(l, e)| (*e, l.exp() / total)).collect();
            for (x, y) in x.iter_mut().zip(experts(m, tensors, i, &y, &shares, |v| v)) {
                *x += y;
            }
        }
    }
    let (norm, head) = (get("model.norm.weight"), get("lm_head.weight"));
    x.iter()
        .flat_map(|x| linear(&rmsnorm(x, &norm), &head, &vec![0.0; m.vocab]))
        .collect()
}

/// The weighted sum of a layer's experts for one row; `round` is applied where the engine's bf16 mode rounds, but for
/// the end.
pub(crate) fn experts(
    m: &Tiny,
    tensors: &Tensors,
    layer: usize,
    x: &[f64],
    shares: &[(usize, f64)],
    round: impl Fn(f64) -> f64,
) -> Vec<f64> {
    let part = |name: String| &tensors[&format!("model.layers.{layer}.mlp.experts.{name}")];
    let rows = |p: &str, e: usize, x: &[f64]| -> Vec<f64> {
        let w = expert(
            part(format!("{p}_proj_blocks")),
            part(format!("{p}_proj_scales")),
            e,
        );
        let bias = dense(part(format!("{p}_proj_bias")));
        w.iter()
            .zip(&bias[e * w.len()..])
            .map(|(row, b)| round(dot(row, x) + b))
            .collect()
    };
    let mut out = vec![0.0; m.hidden];
    for (e, share) in shares {
        let swiglu = |c: &[f64]| {
            let (gate, up) = (c[0].min(7.0), c[1].clamp(-7.0, 7.0));
            round(gate / (1.0 + (-1.702 * gate).exp()) * (up + 1.0))
        };
        let h: Vec<f64> = rows("gate_up", *e, x).chunks(2).map(swiglu).collect();
        for (o, y) in out.iter_mut().zip(rows("down", *e, &h)) {
            *o += share * y;
        }
    }
    out
}
