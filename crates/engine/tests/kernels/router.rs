//! `kernels/router.cu`: the same bits as the two operations that it stands for.

use ossmark_engine::cuda::CudaOps;
use ossmark_engine::ops::Ops;

use crate::bench::{Bench, has_cuda};
use crate::tiny::Tiny;

/// Logits, and what the experts make of the choice.
fn done(b: &mut Bench<CudaOps>, rows: usize, x: &[f32], fused: bool) -> [Vec<f32>; 2] {
    let m = b.m.clone();
    b.begin(&[(0, rows)]);
    let layer = &b.sources.layers[0];
    let (router, experts) = (layer.router.clone(), layer.experts.clone());
    let router = b.ops.linear_weights(&router).unwrap();
    let experts = b.ops.expert_weights(&experts).unwrap();
    let mut routing = b.ops.routing(rows).unwrap();
    let backwards: Vec<f32> = x.iter().rev().copied().collect();
    let (other, x) = (b.filled(&backwards, m.hidden), b.filled(x, m.hidden));
    let (mut logits, mut out) = (b.poisoned(rows, m.experts), b.poisoned(rows, m.hidden));
    // Of other rows before: a launch leaves the counters as it found them.
    for x in [&other, &x] {
        if fused {
            b.ops
                .router(x, &router, rows, &mut logits, &mut routing)
                .unwrap();
        } else {
            b.ops.linear(x, &router, rows, &mut logits).unwrap();
            b.ops.route(&logits, &mut routing).unwrap();
        }
    }
    b.ops.moe_gate_up(&x, &experts, &mut routing).unwrap();
    b.ops.moe_down(&mut routing, &experts, &mut out).unwrap();
    [b.read(&logits, rows), b.read(&out, rows)]
}

fn the_same_bits(m: &Tiny, rows: &[usize]) {
    let mut b = Bench::<CudaOps>::new(m);
    for rows in rows {
        let x = b.random(rows * m.hidden);
        let [logits, out] = done(&mut b, *rows, &x, true);
        let [expected_logits, expected] = done(&mut b, *rows, &x, false);
        assert!(logits == expected_logits, "logits of {rows} rows");
        assert!(out == expected, "the experts chosen for {rows} rows");
        assert!(out.iter().all(|x| x.is_finite()));
    }
}

mod cuda {
    use super::*;

    #[test]
    fn experts_128_top_4() {
        if has_cuda("router::cuda::experts_128_top_4") {
            let m = Tiny {
                experts: 128,
                top_k: 4,
                ..Tiny::default()
            };
            the_same_bits(&m, &[1, 8, 9, 16, 17, 40]);
        }
    }

    #[test]
    fn five_experts() {
        if has_cuda("router::cuda::five_experts") {
            let m = Tiny {
                experts: 5,
                top_k: 3,
                hidden: 96,
                ..Tiny::default()
            };
            // Five outputs are no product for the wgmma kernel, so that the bits are the same for more than 64 rows, too; the
            // last is left to `linear` and `route`.
            the_same_bits(&m, &[2, 33, 63, 65, 200, 513]);
        }
    }
}
