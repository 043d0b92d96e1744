//! `kernels/rmsnorm.cu`.

use crate::bench::{Bench, Device, check, f64s, on_each_device};
use crate::reference;
use crate::tiny::Tiny;

on_each_device!(one_row_to_many, real_width, two_pieces_a_thread);

fn rows<D: Device>(b: &mut Bench<D>, rows: usize) {
    let hidden = b.m.hidden;
    b.begin(&[(0, rows)]);
    let source = b.sources.norm.clone();
    let weight = b.ops.vector(&source).unwrap();
    let (x, d) = (b.random(rows * hidden), b.random(rows * hidden));
    let (mut xb, db) = (b.filled(&x, hidden), b.filled(&d, hidden));
    let mut out = b.poisoned(rows, hidden);
    let w = f64s(&source.to_vec());
    let norm = |x: &[f32]| -> Vec<f64> {
        f64s(x)
            .chunks(hidden)
            .flat_map(|x| reference::rmsnorm(x, &w))
            .collect()
    };

    b.ops.rmsnorm(&xb, &weight, rows, &mut out).unwrap();
    let got = b.read(&out, rows);
    check(&format!("rmsnorm {rows} x {hidden}"), &got, &norm(&x), 4e-6);

    b.ops
        .add_rmsnorm(&mut xb, &db, &weight, rows, &mut out)
        .unwrap();
    let (sum, got) = (b.read(&xb, rows), b.read(&out, rows));
    let exact: Vec<f64> = x
        .iter()
        .zip(&d)
        .map(|(x, d)| f64::from(*x) + f64::from(*d))
        .collect();
    check(
        &format!("add of add_rmsnorm {rows} x {hidden}"),
        &sum,
        &exact,
        1e-9,
    );
    check(
        &format!("add_rmsnorm {rows} x {hidden}"),
        &got,
        &norm(&sum),
        4e-6,
    );

    b.ops.add(&mut xb, &db).unwrap();
    let twice = b.read(&xb, rows);
    let exact: Vec<f64> = sum
        .iter()
        .zip(&d)
        .map(|(x, d)| f64::from(*x) + f64::from(*d))
        .collect();
    check(&format!("add {rows} x {hidden}"), &twice, &exact, 1e-9);
}

fn one_row_to_many<D: Device>() {
    let mut b = Bench::<D>::new(&Tiny {
        hidden: 96,
        ..Tiny::default()
    });
    [1, 7, 8, 33].into_iter().for_each(|n| rows(&mut b, n));
}

/// A thread of the largest block has eight elements of 8,192, and some have more here.
fn two_pieces_a_thread<D: Device>() {
    let mut b = Bench::<D>::new(&Tiny {
        hidden: 8224,
        experts: 1,
        top_k: 1,
        ..Tiny::default()
    });
    rows(&mut b, 2);
}

fn real_width<D: Device>() {
    rows(&mut Bench::<D>::real(), 5);
}
