//! The CPU's arithmetic: eight rows side by side, one fused multiply-add after the other in each.
//!
//! Every sum is a single chain in the order of its index. A row's result therefore is the same to the bit whichever rows
//! stand beside it, and the same with and without vector instructions.

use pulp::{Arch, NullaryFnOnce};

/// Compiles code a second time for AVX2 and FMA, and chooses at run time. That reaches only what is inlined into it for
/// certain: functions and closures that are marked `inline(always)`, and loops. Elsewhere a fused multiply-add becomes a
/// call of the C library: the same number, some fifty times slower.
#[derive(Clone, Copy)]
pub(super) struct Vectors(Arch);

impl Vectors {
    pub(super) fn new() -> Self {
        Self(Arch::new())
    }

    #[inline(always)]
    pub(super) fn run<R>(self, f: impl FnMut() -> R) -> R {
        // pulp takes closures too, but calls them through a shim of `FnOnce` that is not inlined.
        struct Body<F>(F);
        impl<R, F: FnMut() -> R> NullaryFnOnce for Body<F> {
            type Output = R;
            #[inline(always)]
            fn call(mut self) -> R {
                (self.0)()
            }
        }
        self.0.dispatch(Body(f))
    }
}

/// Rows in a tile; an AVX2 register of f32.
pub(super) const LANES: usize = 8;

/// One number for each row of a tile.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(32))]
pub(super) struct Lanes(pub(super) [f32; LANES]);

impl Lanes {
    pub(super) const ZERO: Self = Self([0.0; LANES]);

    #[inline(always)]
    pub(super) fn map(self, f: impl Fn(f32) -> f32) -> Self {
        let mut out = Self::ZERO;
        for l in 0..LANES {
            out.0[l] = f(self.0[l]);
        }
        out
    }

    #[inline(always)]
    pub(super) fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut out = Self::ZERO;
        for l in 0..LANES {
            out.0[l] = f(self.0[l], other.0[l]);
        }
        out
    }

    #[inline(always)]
    pub(super) fn plus(self, b: f32) -> Self {
        self.map(
            #[inline(always)]
            |a| a + b,
        )
    }

    /// `self + a * b`, rounded once.
    #[inline(always)]
    pub(super) fn add_product(&mut self, a: f32, b: &Self) {
        for l in 0..LANES {
            self.0[l] = a.mul_add(b.0[l], self.0[l]);
        }
    }
}

/// How values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rounding {
    /// Round to bf16, else keep f32.
    pub(super) bf16: bool,
}

impl Rounding {
    #[inline(always)]
    pub(super) fn apply(self, x: Lanes) -> Lanes {
        if self.bf16 { x.map(to_bf16) } else { x }
    }
}

/// The nearest bf16, ties to even; NaN stays NaN.
#[inline(always)]
pub(super) fn to_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    if x.is_nan() {
        x
    } else {
        f32::from_bits(rounded)
    }
}

/// `e^x` within 2 ulp for `x` up to 88, 0 below -87 instead of a denormal number; NaN stays NaN. Vectorises, which the C library's
/// does not.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding it leaves the nearest whole number in the low bits of the sum.
    const MAGIC: f32 = 12_582_912.0;
    // ln 2 in two parts, the first short enough for exact products (Cody and Waite).
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x > 88.0 { 88.0 } else { x };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, clamped));
    // Taylor's series: |r| is at most ln(2)/2, so the term after the last is below 1e-8.
    let mut p = 1.0 / 5040.0;
    for c in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = r.mul_add(p, c);
    }
    let power = f32::from_bits(
        shifted
            .to_bits()
            .wrapping_sub(MAGIC.to_bits())
            .wrapping_add(127)
            << 23,
    );
    if x < -87.0 { 0.0 } else { p * power }
}

/// Eight dot products of `x` (a number per row of the tile for each index) with the rows of a matrix.
#[inline(always)]
pub(super) fn dot8(x: &[Lanes], rows: [&[f32]; 8]) -> [Lanes; 8] {
    let n = x.len();
    let rows = rows.map(
        #[inline(always)]
        |r| &r[..n],
    );
    let mut acc = [Lanes::ZERO; 8];
    for k in 0..n {
        let xk = x[k];
        for r in 0..8 {
            acc[r].add_product(rows[r][k], &xk);
        }
    }
    acc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_ulp() {
        let mut worst = 0.0_f64;
        for i in -870_000..880_000 {
            let x = i as f32 * 1e-4;
            let truth = f64::from(x).exp();
            let ulp =
                f64::from(f32::from_bits((truth as f32).to_bits() + 1)) - f64::from(truth as f32);
            worst = worst.max((f64::from(exp(x)) - truth).abs() / ulp);
        }
        assert!(worst < 2.0, "{worst} ulp");
        assert_eq!(
            (exp(0.0), exp(-88.0), exp(f32::NEG_INFINITY)),
            (1.0, 0.0, 0.0)
        );
        assert!(exp(f32::NAN).is_nan() && exp(1e9) > 1e38);
    }

    #[test]
    fn bf16_rounds_to_nearest_even() {
        for i in 0..2_000_000_u32 {
            let x = f32::from_bits(i.wrapping_mul(2_654_435_761));
            let truth = half::bf16::from_f32(x).to_f32();
            assert!(
                to_bf16(x) == truth || (x.is_nan() && to_bf16(x).is_nan()),
                "{x} {truth}"
            );
        }
    }
}
