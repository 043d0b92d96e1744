//! Eight rows of weights in a register: AVX2 and FMA. The steps are those of `avx512.rs`.

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::lanes::{LANES, Lanes};
use super::panel::{CHAINS, CHUNK, Format, INTERLEAVED, PANEL, Panel};
use crate::mxfp4::VALUES;

/// Rows of weights in a register.
const WIDTH: usize = 8;

#[inline]
#[target_feature(enable = "avx2,fma")]
fn load(from: &[f32; WIDTH]) -> __m256 {
    // SAFETY: reads the eight f32 that are there; no alignment is asked for.
    unsafe { _mm256_loadu_ps(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn store(to: &mut [f32; WIDTH], v: __m256) {
    // SAFETY: writes the eight f32 that are there; no alignment is asked for.
    unsafe { _mm256_storeu_ps(to.as_mut_ptr(), v) }
}

/// Asks memory for what is read after this panel.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn prefetch(lines: &[u8]) {
    for line in lines.chunks(64) {
        _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
    }
}

/// A chunk of each of the rows `first .. first + G * WIDTH`, `at` bytes from where each begins, transposed: `[w][g]` holds
/// word `w` of the rows of register `g`.
macro_rules! words {
    ($bytes:expr, $offsets:expr, $first:expr, $at:expr) => {{
        let (bytes, offsets, at): (&[u8], &[usize; PANEL], usize) = ($bytes, $offsets, $at);
        let chunk = |row: usize| {
            debug_assert!(offsets[row] + at + CHUNK <= bytes.len());
            // SAFETY: every row is as long as the others, and the caller's chunk is a whole one of a row; no alignment is
            // asked for.
            unsafe { _mm_loadu_si128(bytes.as_ptr().add(offsets[row] + at).cast()) }
        };
        // Half `j` of vector `i` holds row `4 j + i`.
        let halves = |row: usize| {
            _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(chunk(row)), chunk(row + 4))
        };
        let mut words = [[_mm256_setzero_si256(); G]; 4];
        for g in 0..G {
            let row = $first + g * WIDTH;
            let t = transposed([halves(row), halves(row + 1), halves(row + 2), halves(row + 3)]);
            for w in 0..4 {
                words[w][g] = t[w];
            }
        }
        words
    }};
}

/// Transposes the 4 x 4 words of each half.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn transposed([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let (low, high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    let (low2, high2) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    [
        _mm256_unpacklo_epi64(low, low2),
        _mm256_unpackhi_epi64(low, low2),
        _mm256_unpacklo_epi64(high, high2),
        _mm256_unpackhi_epi64(high, high2),
    ]
}

/// The values of the words' lowest nibbles.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn low_nibbles(words: __m256i) -> __m256 {
    // The permutation looks at the low three bits of a word alone; the fourth is the sign.
    let values = load(VALUES.first_chunk().expect("eight without a sign"));
    let value = _mm256_permutevar8x32_ps(values, words);
    let sign = _mm256_and_si256(_mm256_slli_epi32::<28>(words), _mm256_set1_epi32(i32::MIN));
    _mm256_or_ps(value, _mm256_castsi256_ps(sign))
}

/// The scales of block `block` of the rows from `first` on.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn scales(p: &Panel<'_>, first: usize, block: usize) -> __m256i {
    let s = |row: usize| i32::from(p.scale(first + row, block));
    _mm256_setr_epi32(s(0), s(1), s(2), s(3), s(4), s(5), s(6), s(7))
}

/// `2^(scale - 127)`; see [`crate::mxfp4`].
#[inline]
#[target_feature(enable = "avx2,fma")]
fn powers(scales: __m256i) -> __m256 {
    // A scale of 0 is a denormal number, every other one is larger.
    let exponent = _mm256_slli_epi32::<23>(scales);
    _mm256_castsi256_ps(_mm256_max_epu32(exponent, _mm256_set1_epi32(1 << 22)))
}

/// Gives `take` each of the columns `cols` of the rows from `first` on, in order, with its place in the range. A range
/// begins with a whole chunk.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn columns<const G: usize>(
    p: &Panel<'_>,
    first: usize,
    cols: Range<usize>,
    take: impl FnMut(usize, [__m256; G]),
) {
    match p.format() {
        Format::Mxfp4 => columns_of_mxfp4(p, first, cols, take),
        Format::Interleaved => columns_of_interleaved(p, first, cols, take),
        Format::Bf16 => columns_of_bf16(p, first, cols, take),
        Format::F32 => columns_of_f32(p, first, cols, take),
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn columns_of_mxfp4<const G: usize>(
    p: &Panel<'_>,
    first: usize,
    cols: Range<usize>,
    mut take: impl FnMut(usize, [__m256; G]),
) {
    let offsets = p.offsets();
    let mut col = 0;
    for block in cols.start / 32..cols.end / 32 {
        let mut powers_of = [_mm256_setzero_ps(); G];
        for g in 0..G {
            powers_of[g] = powers(scales(p, first + g * WIDTH, block));
        }
        if first == 0 {
            prefetch(p.ahead(block));
        }
        for mut word in words!(p.bytes(), &offsets, first, block * CHUNK) {
            for _ in 0..8 {
                let mut w = powers_of;
                for g in 0..G {
                    w[g] = _mm256_mul_ps(low_nibbles(word[g]), powers_of[g]);
                }
                take(col, w);
                word = word.map(|w| _mm256_srli_epi32::<4>(w));
                col += 1;
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn columns_of_interleaved<const G: usize>(
    p: &Panel<'_>,
    first: usize,
    cols: Range<usize>,
    mut take: impl FnMut(usize, [__m256; G]),
) {
    let mut col = 0;
    for block in cols.start / 32..cols.end / 32 {
        let bytes = p.interleaved(block);
        let mut powers_of = [_mm256_setzero_ps(); G];
        for g in 0..G {
            let scales = scales_at(bytes, 4 * WORD_OF_ALL + first + g * WIDTH);
            powers_of[g] = powers(scales);
        }
        if first == 0 {
            prefetch(p.ahead(block));
        }
        for w in 0..4 {
            let mut word = [_mm256_setzero_si256(); G];
            for g in 0..G {
                word[g] = words_at(bytes, WORD_OF_ALL * w + 4 * (first + g * WIDTH));
            }
            for _ in 0..8 {
                let mut w = powers_of;
                for g in 0..G {
                    w[g] = _mm256_mul_ps(low_nibbles(word[g]), powers_of[g]);
                }
                take(col, w);
                word = word.map(|w| _mm256_srli_epi32::<4>(w));
                col += 1;
            }
        }
    }
}

/// Bytes of one word of all rows of an interleaved block.
const WORD_OF_ALL: usize = 4 * PANEL;

#[inline]
#[target_feature(enable = "avx2,fma")]
fn words_at(block: &[u8; INTERLEAVED], at: usize) -> __m256i {
    assert!(at + 32 <= INTERLEAVED);
    // SAFETY: so many bytes are there; no alignment is asked for.
    unsafe { _mm256_loadu_si256(block.as_ptr().add(at).cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn scales_at(block: &[u8; INTERLEAVED], at: usize) -> __m256i {
    assert!(at + 8 <= INTERLEAVED);
    // SAFETY: so many bytes are there; no alignment is asked for.
    _mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(block.as_ptr().add(at).cast()) })
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn columns_of_bf16<const G: usize>(
    p: &Panel<'_>,
    first: usize,
    cols: Range<usize>,
    mut take: impl FnMut(usize, [__m256; G]),
) {
    let offsets = p.offsets();
    let mut col = 0;
    for chunk in cols.start / 8..cols.end / 8 {
        if first == 0 {
            prefetch(p.ahead(chunk));
        }
        for word in words!(p.bytes(), &offsets, first, chunk * CHUNK) {
            for w in bf16_halves(word) {
                take(col, w);
                col += 1;
            }
        }
    }
    if col < cols.len() {
        let words = rest_words(p, first).map(|word| bf16_halves(word));
        for w in words.as_flattened().iter().take(cols.len() - col) {
            take(col, *w);
            col += 1;
        }
    }
}

/// The two columns of words of bf16.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn bf16_halves<const G: usize>(word: [__m256i; G]) -> [[__m256; G]; 2] {
    let high = _mm256_set1_epi32(0xffff_0000_u32 as i32);
    [
        word.map(|w| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(w))),
        word.map(|w| _mm256_castsi256_ps(_mm256_and_si256(w, high))),
    ]
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn columns_of_f32<const G: usize>(
    p: &Panel<'_>,
    first: usize,
    cols: Range<usize>,
    mut take: impl FnMut(usize, [__m256; G]),
) {
    let offsets = p.offsets();
    let mut col = 0;
    for chunk in cols.start / 4..cols.end / 4 {
        if first == 0 {
            prefetch(p.ahead(chunk));
        }
        for word in words!(p.bytes(), &offsets, first, chunk * CHUNK) {
            take(col, word.map(|w| _mm256_castsi256_ps(w)));
            col += 1;
        }
    }
    if col < cols.len() {
        for word in rest_words(p, first).iter().take(cols.len() - col) {
            take(col, word.map(|w| _mm256_castsi256_ps(w)));
            col += 1;
        }
    }
}

/// The words of the columns behind the last whole chunk.
#[target_feature(enable = "avx2,fma")]
fn rest_words<const G: usize>(p: &Panel<'_>, first: usize) -> [[__m256i; G]; 4] {
    let mut bytes = [0; PANEL * CHUNK];
    for (row, to) in bytes.as_chunks_mut().0.iter_mut().enumerate() {
        *to = p.rest(row);
    }
    words!(&bytes, &std::array::from_fn(|r| r * CHUNK), first, 0)
}

/// See [`super::Simd::dot`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn dot<const N: usize>(p: &Panel<'_>, x: &[[f32; N]], sums: &mut [[f32; PANEL]; LANES]) {
    // What the sixteen registers hold.
    if N <= 4 {
        dot_rows::<N, 2>(p, x, sums);
    } else {
        dot_rows::<N, 1>(p, x, sums);
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn dot_rows<const N: usize, const G: usize>(
    p: &Panel<'_>,
    x: &[[f32; N]],
    sums: &mut [[f32; PANEL]; LANES],
) {
    for first in (0..p.rows()).step_by(G * WIDTH) {
        let mut acc = [[_mm256_setzero_ps(); G]; N];
        columns::<G>(p, first, 0..p.cols(), |col, w| {
            let row = &x[col];
            for n in 0..N {
                let x = _mm256_set1_ps(row[n]);
                for g in 0..G {
                    acc[n][g] = _mm256_fmadd_ps(w[g], x, acc[n][g]);
                }
            }
        });
        for (acc, sums) in acc.iter().zip(sums.iter_mut()) {
            for (acc, sums) in acc.iter().zip(registers_mut(&mut sums[first..])) {
                store(sums, *acc);
            }
        }
    }
}

/// See [`super::Simd::decode`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn decode(p: &Panel<'_>, cols: Range<usize>, into: &mut [[f32; PANEL]]) {
    for first in (0..p.rows()).step_by(2 * WIDTH) {
        columns::<2>(p, first, cols.clone(), |col, w| {
            for (to, w) in registers_mut(&mut into[col][first..]).iter_mut().zip(w) {
                store(to, w);
            }
        });
    }
}

/// See [`super::Simd::accumulate`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn accumulate<const N: usize>(
    weights: &[[f32; PANEL]],
    x: &[Lanes],
    sums: &mut [[f32; PANEL]; LANES],
) {
    for g in 0..PANEL / WIDTH {
        let mut acc = [_mm256_setzero_ps(); N];
        for (acc, sums) in acc.iter_mut().zip(sums.iter_mut()) {
            *acc = load(&registers_mut(sums)[g]);
        }
        for (w, x) in weights.iter().zip(x) {
            let w = load(&w.as_chunks().0[g]);
            for n in 0..N {
                acc[n] = _mm256_fmadd_ps(w, _mm256_set1_ps(x.0[n]), acc[n]);
            }
        }
        for (acc, sums) in acc.iter().zip(sums.iter_mut()) {
            store(&mut registers_mut(sums)[g], *acc);
        }
    }
}

fn registers_mut(x: &mut [f32]) -> &mut [[f32; WIDTH]] {
    x.as_chunks_mut().0
}

/// See [`super::Simd::chains`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn chains(n: usize) -> f32 {
    let (a, b) = std::hint::black_box((_mm256_set1_ps(0.5), _mm256_set1_ps(1.0)));
    let mut acc = [b; CHAINS];
    for _ in 0..n {
        for acc in &mut acc {
            *acc = _mm256_fmadd_ps(*acc, a, b);
        }
    }
    let mut out = [[0.0; WIDTH]; CHAINS];
    for (out, acc) in out.iter_mut().zip(acc) {
        store(out, acc);
    }
    out.as_flattened().iter().sum()
}
