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
    /// `plain`: with no more than the compiler assumes of every processor.
    pub(super) fn new(plain: bool) -> Self {
        Self(if plain { Arch::Scalar } else { Arch::new() })
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

// SAFETY: eight f32 and nothing else, each of which is 0.0 where all its bits are.
#[allow(unsafe_code, reason = "see SAFETY")]
unsafe impl bytemuck::Zeroable for Lanes {}

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

    #[inline(always)]
    pub(super) fn minus(self, other: Self) -> Self {
        self.zip(
            other,
            #[inline(always)]
            |a, b| a - b,
        )
    }

    /// [`exp`] of each, step by step over all of them: that vectorises, eight whole calls side by side do not.
    #[inline(always)]
    pub(super) fn exp(self) -> Self {
        let clamped = self.map(
            #[inline(always)]
            |x| if x > EXP_MOST { EXP_MOST } else { x },
        );
        let shifted = clamped.map(
            #[inline(always)]
            |x| x.mul_add(std::f32::consts::LOG2_E, EXP_MAGIC),
        );
        let n = shifted.map(
            #[inline(always)]
            |s| s - EXP_MAGIC,
        );
        let r = n.zip(
            clamped,
            #[inline(always)]
            |n, x| n.mul_add(-LN2_HIGH, x),
        );
        let r = n.zip(
            r,
            #[inline(always)]
            |n, r| n.mul_add(-LN2_LOW, r),
        );
        let mut p = r.map(
            #[inline(always)]
            |r| r.mul_add(EXP_TERMS[0], EXP_TERMS[1]),
        );
        for c in &EXP_TERMS[2..] {
            p = r.zip(
                p,
                #[inline(always)]
                |r, p| r.mul_add(p, *c),
            );
        }
        let y = p.zip(
            shifted,
            #[inline(always)]
            |p, s| p * power_of_two(s),
        );
        self.zip(
            y,
            #[inline(always)]
            |x, y| if x < EXP_LEAST { 0.0 } else { y },
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

/// `e^x` within 2 ulp for `x` up to 88, 0 below -87 instead of a denormal number; NaN stays NaN. Vectorises, which the C
/// library's does not.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let clamped = if x > EXP_MOST { EXP_MOST } else { x };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, EXP_MAGIC);
    let n = shifted - EXP_MAGIC;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, clamped));
    let mut p = EXP_TERMS[0];
    for c in &EXP_TERMS[1..] {
        p = r.mul_add(p, *c);
    }
    if x < EXP_LEAST {
        0.0
    } else {
        p * power_of_two(shifted)
    }
}

const EXP_MOST: f32 = 88.0;
const EXP_LEAST: f32 = -87.0;
/// Adding it leaves the nearest whole number in the low bits of the sum.
const EXP_MAGIC: f32 = 12_582_912.0;
// ln 2 in two parts, the first short enough for exact products (Cody and Waite).
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Taylor's series, last term first: |r| is at most ln(2)/2, so the next one would be below 1e-8.
const EXP_TERMS: [f32; 8] = [
    1.0 / 5040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// `2^n` for the whole number `n` to which the magic number was added.
#[inline(always)]
fn power_of_two(shifted: f32) -> f32 {
    f32::from_bits(
        shifted
            .to_bits()
            .wrapping_sub(EXP_MAGIC.to_bits())
            .wrapping_add(127)
            << 23,
    )
}

impl Vectors {
    /// `acc[r] += w[r] * x` for each `(x, w)` of `term(0 .. n)`, in order, each rounded once.
    #[inline(always)]
    pub(super) fn accumulate(
        self,
        acc: &mut [Lanes; 8],
        n: usize,
        term: impl Fn(usize) -> (Lanes, [f32; 8]),
    ) {
        // Left to itself, the compiler groups these 64 sums in ways that need shuffles, at half the speed.
        #[cfg(target_arch = "x86_64")]
        if let Arch::V3(simd) = self.0 {
            let mut sums = acc.map(
                #[inline(always)]
                |a| pulp::cast::<_, pulp::f32x8>(a.0),
            );
            for k in 0..n {
                let (x, w) = term(k);
                let x = pulp::cast(x.0);
                for r in 0..8 {
                    sums[r] = simd.mul_add_f32x8(simd.splat_f32x8(w[r]), x, sums[r]);
                }
            }
            for r in 0..8 {
                acc[r] = Lanes(pulp::cast(sums[r]));
            }
            return;
        }
        for k in 0..n {
            let (x, w) = term(k);
            for r in 0..8 {
                acc[r].add_product(w[r], &x);
            }
        }
    }

    /// Eight dot products of `x` (a number per row of the tile for each index) with the rows of a matrix.
    #[inline(always)]
    pub(super) fn dot8(self, x: &[Lanes], rows: [&[f32]; 8]) -> [Lanes; 8] {
        let n = x.len();
        let [a, b, c, d, e, f, g, h] = rows;
        let (a, b, c, d) = (&a[..n], &b[..n], &c[..n], &d[..n]);
        let (e, f, g, h) = (&e[..n], &f[..n], &g[..n], &h[..n]);
        let mut acc = [Lanes::ZERO; 8];
        self.accumulate(
            &mut acc,
            n,
            #[inline(always)]
            |k| (x[k], [a[k], b[k], c[k], d[k], e[k], f[k], g[k], h[k]]),
        );
        acc
    }
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
            assert_eq!(Lanes([x; LANES]).exp().0[5], exp(x));
            worst = worst.max((f64::from(exp(x)) - truth).abs() / ulp);
        }
        assert!(worst < 2.0, "{worst} ulp");
        assert_eq!(
            (exp(0.0), exp(-88.0), exp(f32::NEG_INFINITY)),
            (1.0, 0.0, 0.0)
        );
        assert!(exp(f32::NAN).is_nan() && Lanes([f32::NAN; LANES]).exp().0[0].is_nan());
        assert!(exp(1e9) > 1e38);
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
