//! Operations that stay within a row: norm, residual, rotary embedding.

use super::lanes::{LANES, Lanes, Rounding};

#[inline(always)]
pub(super) fn rmsnorm(
    x: &[Lanes],
    weight: &[f32],
    eps: f32,
    rounding: Rounding,
    out: &mut [Lanes],
) {
    let mut squares = Lanes::ZERO;
    for v in x {
        for l in 0..LANES {
            squares.0[l] = v.0[l].mul_add(v.0[l], squares.0[l]);
        }
    }
    let scale = squares.map(
        #[inline(always)]
        |s| 1.0 / (s / x.len() as f32 + eps).sqrt(),
    );
    for ((o, v), w) in out.iter_mut().zip(x).zip(weight) {
        *o = rounding.apply(v.zip(
            scale,
            #[inline(always)]
            |v, s| v * s * w,
        ));
    }
}

#[inline(always)]
pub(super) fn add(x: &mut [Lanes], delta: &[Lanes], rounding: Rounding) {
    for (x, d) in x.iter_mut().zip(delta) {
        *x = rounding.apply(x.zip(
            *d,
            #[inline(always)]
            |x, d| x + d,
        ));
    }
}

/// Cosine and sine of one tile, for each pair of a head.
pub(super) struct Rotation {
    pub(super) cos: Lanes,
    pub(super) sin: Lanes,
}

/// Rotates whole heads: `heads` is a multiple of `2 * rotations.len()` long.
#[inline(always)]
pub(super) fn rope(heads: &mut [Lanes], rotations: &[Rotation], rounding: Rounding) {
    for head in heads.chunks_exact_mut(2 * rotations.len()) {
        let (first, second) = head.split_at_mut(rotations.len());
        for ((a, b), t) in first.iter_mut().zip(second).zip(rotations) {
            let (x, y) = (*a, *b);
            for l in 0..LANES {
                a.0[l] = x.0[l] * t.cos.0[l] - y.0[l] * t.sin.0[l];
                b.0[l] = y.0[l] * t.cos.0[l] + x.0[l] * t.sin.0[l];
            }
            *a = rounding.apply(*a);
            *b = rounding.apply(*b);
        }
    }
}
