//! `kernels/topk_softmax.cu`: the choice of experts, and the schedule, seen through what the experts make of it.

use crate::bench::{Bench, Device, and_reference, check, f64s, on_each_device, round};
use crate::reference;
use crate::tiny::Tiny;

on_each_device!(
    experts_128_top_4,
    equal_logits_take_the_lower_expert,
    five_experts_random
);
and_reference!(
    experts_128_top_4,
    equal_logits_take_the_lower_expert,
    five_experts_random
);

/// Random rows with these router logits, through route and both products, against f64.
pub(crate) fn through<D: Device>(b: &mut Bench<D>, rows: usize, logits: &[f32]) {
    let m = b.m.clone();
    b.begin(&[(0, rows)]);
    let source = b.sources.layers[0].experts.clone();
    let w = b.ops.expert_weights(&source).unwrap();
    let mut routing = b.ops.routing(rows).unwrap();
    let x = b.random(rows * m.hidden);
    let (xb, lb) = (b.filled(&x, m.hidden), b.filled(logits, m.experts));
    let mut out = b.poisoned(rows, m.hidden);
    b.ops.route(&lb, &mut routing).unwrap();
    b.ops.moe_gate_up(&xb, &w, &mut routing).unwrap();
    b.ops.moe_down(&mut routing, &w, &mut out).unwrap();
    let got = b.read(&out, rows);
    let tensors = m.tensors();
    let mut expected = Vec::new();
    // In the wide cases f64 takes its time: the first, the last and some in between.
    let few = rows * m.hidden > 4096;
    let checked: Vec<usize> = (0..rows)
        .filter(|r| !few || *r == 0 || *r + 1 == rows || r % 16 == 5)
        .collect();
    for r in &checked {
        let l = &logits[r * m.experts..][..m.experts];
        let mut order: Vec<usize> = (0..m.experts).collect();
        order.sort_by(|a, b| l[*b].total_cmp(&l[*a]).then(a.cmp(b)));
        let best = &order[..m.top_k];
        let exp = |e: usize| (f64::from(l[e]) - f64::from(l[best[0]])).exp();
        let total: f64 = best.iter().map(|e| exp(*e)).sum();
        let shares: Vec<(usize, f64)> = best.iter().map(|e| (*e, exp(*e) / total)).collect();
        let row = f64s(&x[r * m.hidden..][..m.hidden]);
        expected.extend(reference::experts(&m, &tensors, 0, &row, &shares, |v| {
            f64::from(round(v as f32))
        }));
    }
    let got: Vec<f32> = checked
        .iter()
        .flat_map(|r| got[r * m.hidden..][..m.hidden].to_vec())
        .collect();
    // A rounding of a value inside may fall to the other side: a step of bf16 of the largest product.
    let max = expected.iter().fold(1.0_f64, |m, e| m.max(e.abs()));
    check(
        &format!("{rows} rows, {} experts top-{}", m.experts, m.top_k),
        &got,
        &expected,
        max / 128.0,
    );
}

fn random_logits<D: Device>(m: Tiny, rows: &[usize]) {
    let mut b = Bench::<D>::new(&m);
    for rows in rows {
        let logits = b.random(rows * m.experts);
        through(&mut b, *rows, &logits);
    }
}

fn experts_128_top_4<D: Device>() {
    random_logits::<D>(
        Tiny {
            experts: 128,
            top_k: 4,
            ..Tiny::default()
        },
        &[1, 3, 40, 200],
    );
}

fn five_experts_random<D: Device>() {
    random_logits::<D>(
        Tiny {
            experts: 5,
            top_k: 3,
            ..Tiny::default()
        },
        &[1, 16, 17, 33],
    );
    random_logits::<D>(
        Tiny {
            experts: 1,
            top_k: 1,
            ..Tiny::default()
        },
        &[5],
    );
    random_logits::<D>(
        Tiny {
            experts: 33,
            top_k: 32,
            ..Tiny::default()
        },
        &[2],
    );
}

fn equal_logits_take_the_lower_expert<D: Device>() {
    let m = Tiny {
        experts: 70,
        top_k: 4,
        ..Tiny::default()
    };
    let mut b = Bench::<D>::new(&m);
    let logits: Vec<f32> = (0..3 * 70)
        .map(|i| [0.0, 1.0][usize::from(i % 7 == 5)])
        .collect();
    through(&mut b, 3, &logits);
    through(&mut b, 2, &vec![-3.0; 2 * 70]);
}
