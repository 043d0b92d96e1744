//! `kernels/silu_mul.cu` against f64.

use ossmark_engine::ops::DraftOps;

use crate::bench::{Bench, Device, check, f64s, on_each_device, round};
use crate::tiny::Tiny;

on_each_device!(widths_around_blocks_and_large_gates);

fn widths_around_blocks_and_large_gates<D: Device + DraftOps>() {
    let mut b = Bench::<D>::new(&Tiny::default());
    let rows = 9;
    b.begin(&[(0, rows)]);
    for cols in [1, 33, 1024, 1500] {
        let mut gate_up = b.random(rows * 2 * cols);
        for (row, gate) in [(0, 90.0), (3, -90.0), (8, 0.0)] {
            gate_up[row * 2 * cols] = gate;
        }
        let expected: Vec<f64> = f64s(&gate_up)
            .chunks_exact(2 * cols)
            .flat_map(|row| {
                let (gate, up) = row.split_at(cols);
                let silu = |(g, u): (&f64, &f64)| g / (1.0 + (-g).exp()) * u;
                gate.iter().zip(up).map(silu).collect::<Vec<_>>()
            })
            .collect();
        let from = b.filled(&gate_up, 2 * cols);
        let mut out = b.poisoned(rows, cols);
        b.ops.silu_mul(&from, &mut out).unwrap();
        check("silu_mul", &b.read(&out, rows), &expected, 1e-5);
        assert!(gate_up.iter().all(|x| round(*x) == *x));
    }
}
