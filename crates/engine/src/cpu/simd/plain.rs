//! The same sums without vector instructions of any particular processor.

use std::ops::Range;

use super::super::lanes::{LANES, Lanes};
use super::panel::{CHAINS, CHUNK, Format, PANEL, Panel};
use crate::mxfp4;

/// Gives `take` each of the columns `cols` of a panel, in order, with its place in the range. A range begins with a whole
/// chunk.
fn columns(p: &Panel<'_>, cols: Range<usize>, mut take: impl FnMut(usize, &[f32; PANEL])) {
    let width = p.format().per_chunk();
    let mut columns = [[0.0; PANEL]; 32];
    for first in cols.clone().step_by(width) {
        for row in 0..p.rows() {
            for (column, value) in columns.iter_mut().zip(values(p, row, first / width)) {
                column[row] = value;
            }
        }
        let n = width.min(cols.end - first);
        for (i, column) in columns.iter().take(n).enumerate() {
            take(first - cols.start + i, column);
        }
    }
}

/// The elements of a row's chunk, zeros behind the row's end.
fn values(p: &Panel<'_>, row: usize, chunk: usize) -> [f32; 32] {
    let mut values = [0.0; 32];
    if p.format() == Format::Interleaved {
        let block = p.interleaved(chunk);
        let mut bytes = [0; CHUNK];
        for (w, to) in bytes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            to.copy_from_slice(&block[4 * (w * PANEL + row)..][..4]);
        }
        mxfp4::decode(&bytes, &[block[CHUNK * PANEL + row]], &mut values);
        return values;
    }
    let bytes = if (chunk + 1) * p.format().per_chunk() <= p.cols() {
        let at = p.offsets()[row] + chunk * CHUNK;
        *p.bytes()[at..].first_chunk().expect("a whole chunk")
    } else {
        p.rest(row)
    };
    match p.format() {
        Format::Mxfp4 | Format::Interleaved => {
            mxfp4::decode(&bytes, &[p.scale(row, chunk)], &mut values);
        }
        Format::Bf16 => {
            for (v, b) in values.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *v = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
            }
        }
        Format::F32 => {
            for (v, b) in values.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *v = f32::from_le_bytes(*b);
            }
        }
    }
    values
}

#[inline(always)]
fn add_products(sums: &mut [f32; PANEL], weights: &[f32; PANEL], x: f32) {
    for (sum, w) in sums.iter_mut().zip(weights) {
        *sum = w.mul_add(x, *sum);
    }
}

/// See [`super::Simd::dot`].
pub(super) fn dot<const N: usize>(p: &Panel<'_>, x: &[[f32; N]], sums: &mut [[f32; PANEL]; LANES]) {
    sums.fill([0.0; PANEL]);
    columns(p, 0..p.cols(), |col, w| {
        for (sums, x) in sums.iter_mut().zip(x[col]) {
            add_products(sums, w, x);
        }
    });
}

/// See [`super::Simd::decode`].
pub(super) fn decode(p: &Panel<'_>, cols: Range<usize>, into: &mut [[f32; PANEL]]) {
    columns(p, cols, |col, w| into[col] = *w);
}

/// See [`super::Simd::accumulate`].
pub(super) fn accumulate<const N: usize>(
    weights: &[[f32; PANEL]],
    x: &[Lanes],
    sums: &mut [[f32; PANEL]; LANES],
) {
    for (w, x) in weights.iter().zip(x) {
        for n in 0..N {
            add_products(&mut sums[n], w, x.0[n]);
        }
    }
}

/// See [`super::Simd::chains`].
pub(super) fn chains(n: usize) -> f32 {
    let (a, b) = std::hint::black_box((0.5_f32, 1.0));
    let mut acc: [f32; CHAINS] = [b; CHAINS];
    for _ in 0..n {
        for sum in &mut acc {
            *sum = sum.mul_add(a, b);
        }
    }
    acc.iter().sum()
}
