//! The inner loops of matrix products, for the vector instructions at hand: rows of weights stand in the lanes, so that one
//! row of activations uses all of them. All that is `unsafe` about instructions is here.
//!
//! Every sum is a single chain of fused multiply-adds in the order of the columns, on every path: the bits do not depend on
//! the processor.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod panel;
mod plain;

use std::fmt;
use std::ops::Range;

use self::panel::CHAINS;
pub(super) use self::panel::{Format, INTERLEAVED, PANEL, Panel};
use super::lanes::{LANES, Lanes};
use crate::load_error::LoadError;

/// Names a path, for tests and comparisons.
const VARIABLE: &str = "OSSMARK_SIMD";

/// Which instructions compute. The results are the same, to the bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simd(Path);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Plain,
}

/// Calls `$f` of the path at hand.
macro_rules! on_path {
    ($simd:expr, $f:ident $(::<$n:literal>)? ($($argument:expr),*)) => {
        match $simd.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this path is only made where the processor has its instructions.
            Path::Avx512 => unsafe { avx512::$f$(::<$n>)?($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this path is only made where the processor has its instructions.
            Path::Avx2 => unsafe { avx2::$f$(::<$n>)?($($argument),*) },
            Path::Plain => plain::$f$(::<$n>)?($($argument),*),
        }
    };
}

impl Simd {
    /// The best of this processor, or what the environment variable `OSSMARK_SIMD` names.
    ///
    /// # Errors
    /// [`LoadError::Settings`]: the variable names nothing that this processor has.
    pub fn from_environment() -> Result<Self, LoadError> {
        let available = Self::available();
        let best = available[0];
        let Some(name) = std::env::var_os(VARIABLE) else {
            return Ok(best);
        };
        let found = available.iter().find(|s| *name == *s.name());
        found.copied().ok_or_else(|| {
            let names: Vec<_> = available.iter().map(|s| s.name()).collect();
            LoadError::Settings(format!(
                "{VARIABLE} is {name:?}, expected one of those that this processor has: {} (without the variable: {best})",
                names.join(", ")
            ))
        })
    }

    /// What this processor has, the best first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut paths = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                paths.push(Self(Path::Avx512));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                paths.push(Self(Path::Avx2));
            }
        }
        paths.push(Self(Path::Plain));
        paths
    }

    fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => "avx2",
            Path::Plain => "plain",
        }
    }

    /// Independent chains of `n` multiply-adds in registers: the most that arithmetic gives, for comparison.
    pub(super) fn chains(self, n: usize) -> f32 {
        on_path!(self, chains(n))
    }

    /// Operations of each step of [`Simd::chains`], two for a multiply-add.
    pub(super) fn chains_flops(self) -> usize {
        2 * CHAINS
            * match self.0 {
                #[cfg(target_arch = "x86_64")]
                Path::Avx512 => 16,
                #[cfg(target_arch = "x86_64")]
                Path::Avx2 => 8,
                Path::Plain => 1,
            }
    }

    /// Whether nothing but plain code is wanted.
    pub(super) fn is_plain(self) -> bool {
        self.0 == Path::Plain
    }

    /// The products of a panel's rows with `n` rows of activations, at most [`LANES`]: `sums[row of x][row of the panel]`.
    /// Column `c` of row `r` of the activations is `x[c * n + r]`.
    pub(super) fn dot(self, p: &Panel<'_>, n: usize, x: &[f32], sums: &mut [[f32; PANEL]; LANES]) {
        match n {
            1 => on_path!(self, dot::<1>(p, x.as_chunks().0, sums)),
            2 => on_path!(self, dot::<2>(p, x.as_chunks().0, sums)),
            3 => on_path!(self, dot::<3>(p, x.as_chunks().0, sums)),
            4 => on_path!(self, dot::<4>(p, x.as_chunks().0, sums)),
            5 => on_path!(self, dot::<5>(p, x.as_chunks().0, sums)),
            6 => on_path!(self, dot::<6>(p, x.as_chunks().0, sums)),
            7 => on_path!(self, dot::<7>(p, x.as_chunks().0, sums)),
            _ => on_path!(self, dot::<8>(p, x.as_chunks().0, sums)),
        }
    }

    /// Writes the columns `cols` of all rows of a panel; `cols` begins at a multiple of 32.
    pub(super) fn decode(self, p: &Panel<'_>, cols: Range<usize>, into: &mut [[f32; PANEL]]) {
        assert!(cols.end <= p.cols() && cols.start.is_multiple_of(32));
        on_path!(self, decode(p, cols, into));
    }

    /// Adds to `sums` the products of decoded weights, a column after the other, with the first `n` rows of a tile.
    pub(super) fn accumulate(
        self,
        n: usize,
        weights: &[[f32; PANEL]],
        x: &[Lanes],
        sums: &mut [[f32; PANEL]; LANES],
    ) {
        match n {
            1 => on_path!(self, accumulate::<1>(weights, x, sums)),
            2 => on_path!(self, accumulate::<2>(weights, x, sums)),
            3 => on_path!(self, accumulate::<3>(weights, x, sums)),
            4 => on_path!(self, accumulate::<4>(weights, x, sums)),
            5 => on_path!(self, accumulate::<5>(weights, x, sums)),
            6 => on_path!(self, accumulate::<6>(weights, x, sums)),
            7 => on_path!(self, accumulate::<7>(weights, x, sums)),
            _ => on_path!(self, accumulate::<8>(weights, x, sums)),
        }
    }
}

impl fmt::Display for Simd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::super::repack::interleave;
    use super::*;
    use crate::mxfp4;
    use crate::weights::Random;

    /// A matrix in one of the formats, at an odd address, with its values as decoded one by one.
    struct Matrix {
        format: Format,
        bytes: Vec<u8>,
        scales: Vec<u8>,
        rows: usize,
        cols: usize,
    }

    const SHIFT: usize = 3;

    impl Matrix {
        fn new(format: Format, rows: usize, cols: usize, scale: impl Fn(usize) -> u8) -> Self {
            let mut bytes = vec![0; SHIFT];
            let random = Random {
                seed: 7,
                middle: 0.0,
                spread: 2.0,
            };
            for i in 0..(rows * cols) as u64 {
                match format {
                    Format::Mxfp4 if i % 2 == 0 => bytes.push(crate::weights::block_byte(5, i / 2)),
                    Format::Mxfp4 => {}
                    Format::Bf16 => {
                        let x = half::bf16::from_f32(random.value(i));
                        bytes.extend(x.to_le_bytes());
                    }
                    Format::Interleaved => unreachable!("made of MXFP4"),
                    Format::F32 => bytes.extend((random.value(i) / 3.0).to_le_bytes()),
                }
            }
            let blocks = if format == Format::Mxfp4 {
                rows * cols / 32
            } else {
                0
            };
            let scales = (0..blocks).map(scale).collect();
            Self {
                format,
                bytes,
                scales,
                rows,
                cols,
            }
        }

        fn panel(&self) -> Panel<'_> {
            let data = (&self.bytes[SHIFT..], &self.scales[..]);
            Panel::new(self.format, data, 0..self.rows, self.cols)
        }

        fn row(&self, row: usize) -> Vec<f32> {
            let n = self.format.row_bytes(self.cols);
            let bytes = &self.bytes[SHIFT + row * n..][..n];
            match self.format {
                Format::Mxfp4 => {
                    let mut out = vec![0.0; self.cols];
                    let blocks = self.cols / 32;
                    mxfp4::decode(bytes, &self.scales[row * blocks..][..blocks], &mut out);
                    out
                }
                Format::Interleaved => unreachable!("made of MXFP4"),
                Format::Bf16 => {
                    let pairs = bytes.as_chunks().0.iter();
                    pairs
                        .map(|b| half::bf16::from_le_bytes(*b).to_f32())
                        .collect()
                }
                Format::F32 => bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| f32::from_le_bytes(*b))
                    .collect(),
            }
        }
    }

    fn activation(row: usize, col: usize) -> f32 {
        let random = Random {
            seed: 11,
            middle: 0.0,
            spread: 3.0,
        };
        random.value((row * 100_000 + col) as u64) / 7.0
    }

    /// The same number, or NaN both: which NaN is nobody's business.
    fn same(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    /// One chain, as the documentation promises.
    fn chain(weights: &[f32], row: usize) -> f32 {
        weights
            .iter()
            .enumerate()
            .fold(0.0, |sum, (c, w)| w.mul_add(activation(row, c), sum))
    }

    fn check(m: &Matrix) {
        check_panel(m, &m.panel());
        if m.format == Format::Mxfp4 {
            let data = (&m.bytes[SHIFT..], &m.scales[..]);
            let mut bytes = vec![0; m.cols / 32 * INTERLEAVED];
            interleave(data.0, data.1, m.cols / 32, &mut bytes);
            check_panel(
                m,
                &Panel::new(Format::Interleaved, (&bytes, &[]), 0..m.rows, m.cols),
            );
        }
    }

    fn check_panel(m: &Matrix, p: &Panel<'_>) {
        for simd in Simd::available() {
            let what = |n| format!("{simd}, {:?}, {} x {}, {n} rows", m.format, m.rows, m.cols);
            for n in 1..=LANES {
                let x: Vec<f32> = (0..m.cols)
                    .flat_map(|c| (0..n).map(move |r| activation(r, c)))
                    .collect();
                let tile: Vec<Lanes> = (0..m.cols)
                    .map(|c| Lanes(std::array::from_fn(|r| activation(r, c))))
                    .collect();
                // What was there before must not matter.
                let mut few = [[f32::NAN; PANEL]; LANES];
                simd.dot(p, n, &x, &mut few);
                let mut many = [[0.0; PANEL]; LANES];
                for first in (0..m.cols).step_by(64) {
                    let cols = first..m.cols.min(first + 64);
                    let mut weights = vec![[f32::NAN; PANEL]; cols.len()];
                    simd.decode(p, cols.clone(), &mut weights);
                    simd.accumulate(n, &weights, &tile[cols], &mut many);
                }
                for r in 0..m.rows {
                    let weights = m.row(r);
                    for i in 0..n {
                        let expected = chain(&weights, i);
                        assert!(
                            same(few[i][r], expected) && same(many[i][r], expected),
                            "{}: row {r} with {i}: {} and {}, expected {expected}",
                            what(n),
                            few[i][r],
                            many[i][r],
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_path_is_one_chain_for_all_numbers_of_rows_and_columns() {
        for rows in [1, 2, 7, 8, 9, 15, 16, 17, 31, 32] {
            for cols in [32, 64, 96, 160] {
                check(&Matrix::new(Format::Mxfp4, rows, cols, |i| {
                    118 + (i % 5) as u8
                }));
            }
            for cols in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 64, 67, 131] {
                check(&Matrix::new(Format::Bf16, rows, cols, |_| 0));
                check(&Matrix::new(Format::F32, rows, cols, |_| 0));
            }
        }
    }

    #[test]
    fn every_scale_on_every_path() {
        for scale in 0..=255_u8 {
            check(&Matrix::new(Format::Mxfp4, 5, 64, |_| scale));
        }
        // All of them beside each other.
        check(&Matrix::new(Format::Mxfp4, 32, 288, |i| i as u8));
    }

    #[test]
    fn a_panel_knows_what_lies_behind_it() {
        let bytes: Vec<u8> = (0..=255).collect();
        let p = Panel::new(Format::Bf16, (&bytes, &[]), 2..4, 16);
        assert_eq!(
            (p.bytes(), p.ahead(0), p.ahead(1)),
            (&bytes[64..128], &bytes[128..], &[][..])
        );
        let p = Panel::new(Format::Bf16, (&bytes, &[]), 7..8, 16);
        assert!(p.ahead(0).is_empty());
    }
}
