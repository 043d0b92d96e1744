//! Sixteen rows of weights in a register: AVX-512.

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::lanes::{LANES, Lanes};
use super::panel::{CHAINS, CHUNK, Format, INTERLEAVED, PANEL, Panel};
use crate::mxfp4::VALUES;

/// The sums of up to [`PANEL`] rows of weights with `N` rows of activations.
type Sums<const N: usize> = [[__m512; 2]; N];

#[inline]
#[target_feature(enable = "avx512f")]
fn load(from: &[f32; 16]) -> __m512 {
    // SAFETY: reads the sixteen f32 that are there; no alignment is asked for.
    unsafe { _mm512_loadu_ps(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(to: &mut [f32; 16], v: __m512) {
    // SAFETY: writes the sixteen f32 that are there; no alignment is asked for.
    unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
}

/// Asks memory for what is read after this panel.
#[inline]
#[target_feature(enable = "avx512f")]
fn prefetch(lines: &[u8]) {
    for line in lines.chunks(64) {
        _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
    }
}

/// A chunk of each of a panel's rows, `at` bytes from where each begins, transposed: pair `w` holds word `w` of every row.
/// A macro, because what is not inlined here costs half the speed, and `inline(always)` is not to be had with features.
macro_rules! panel_words {
    ($bytes:expr, $offsets:expr, $at:expr) => {{
        let (bytes, offsets, at): (&[u8], &[usize; PANEL], usize) = ($bytes, $offsets, $at);
        let chunk = |row: usize| {
            debug_assert!(offsets[row] + at + CHUNK <= bytes.len());
            // SAFETY: every row is as long as the others, and the caller's chunk is a whole one of a row; no alignment is
            // asked for.
            unsafe { _mm_loadu_si128(bytes.as_ptr().add(offsets[row] + at).cast()) }
        };
        // Quarter `j` of vector `i` holds row `4 j + i`.
        let quarters = |row: usize| {
            let v = _mm512_castsi128_si512(chunk(row));
            let v = _mm512_inserti32x4::<1>(v, chunk(row + 4));
            let v = _mm512_inserti32x4::<2>(v, chunk(row + 8));
            _mm512_inserti32x4::<3>(v, chunk(row + 12))
        };
        let a = transposed([quarters(0), quarters(1), quarters(2), quarters(3)]);
        let b = transposed([quarters(16), quarters(17), quarters(18), quarters(19)]);
        [[a[0], b[0]], [a[1], b[1]], [a[2], b[2]], [a[3], b[3]]]
    }};
}

/// Transposes the 4 x 4 words of each quarter.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (low, high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (low2, high2) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(low, low2),
        _mm512_unpackhi_epi64(low, low2),
        _mm512_unpacklo_epi64(high, high2),
        _mm512_unpackhi_epi64(high, high2),
    ]
}

/// The scales of up to four blocks from `first` on, of all rows, those of `first` in the low bytes. `starts` is where each
/// row's scales begin.
#[inline]
#[target_feature(enable = "avx512f")]
fn scale_words(p: &Panel<'_>, starts: [__m512i; 2], first: usize) -> [__m512i; 2] {
    if (first + 4) * 32 > p.cols() {
        return last_scale_words(p, first);
    }
    // SAFETY: each row has four scales from `first` on.
    starts.map(|s| unsafe { _mm512_i32gather_epi32::<1>(s, p.scales().as_ptr().add(first).cast()) })
}

#[cold]
#[target_feature(enable = "avx512f")]
fn last_scale_words(p: &Panel<'_>, first: usize) -> [__m512i; 2] {
    let word = |row| {
        let blocks = (first..p.cols() / 32).rev();
        blocks.fold(0, |word, block| word << 8 | u32::from(p.scale(row, block)))
    };
    let words: [f32; PANEL] = std::array::from_fn(|row| f32::from_bits(word(row)));
    let (low, high) = halves(&words);
    [
        _mm512_castps_si512(load(low)),
        _mm512_castps_si512(load(high)),
    ]
}

/// Where each row's scales begin.
#[inline]
#[target_feature(enable = "avx512f")]
fn scale_starts(p: &Panel<'_>) -> [__m512i; 2] {
    let lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    [0, 16].map(|first| {
        let row = _mm512_min_epi32(
            _mm512_add_epi32(lane, _mm512_set1_epi32(first)),
            _mm512_set1_epi32(p.rows() as i32 - 1),
        );
        _mm512_mullo_epi32(row, _mm512_set1_epi32((p.cols() / 32) as i32))
    })
}

/// `2^(scale - 127)` for the low byte of each word; see [`crate::mxfp4`].
#[inline]
#[target_feature(enable = "avx512f")]
fn powers(scales: __m512i) -> __m512 {
    let exponent = _mm512_slli_epi32::<23>(_mm512_and_si512(scales, _mm512_set1_epi32(255)));
    // A scale of 0 is a denormal number, every other one is larger.
    _mm512_castsi512_ps(_mm512_max_epu32(exponent, _mm512_set1_epi32(1 << 22)))
}

/// Gives `take` each of the columns `cols` of a panel, in order, with its place in the range. A range begins with a whole
/// chunk.
#[inline]
#[target_feature(enable = "avx512f")]
fn columns(p: &Panel<'_>, cols: Range<usize>, take: impl FnMut(usize, [__m512; 2])) {
    match p.format() {
        Format::Mxfp4 => columns_of_mxfp4(p, cols, take),
        Format::Interleaved => columns_of_interleaved(p, cols, take),
        Format::Bf16 => columns_of_bf16(p, cols, take),
        Format::F32 => columns_of_f32(p, cols, take),
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn columns_of_mxfp4(p: &Panel<'_>, cols: Range<usize>, mut take: impl FnMut(usize, [__m512; 2])) {
    let values = load(&VALUES);
    let (offsets, starts) = (p.offsets(), scale_starts(p));
    let (mut col, mut scales) = (0, [_mm512_setzero_si512(); 2]);
    for block in cols.start / 32..cols.end / 32 {
        scales = if col % 128 == 0 {
            scale_words(p, starts, block)
        } else {
            scales.map(|s| _mm512_srli_epi32::<8>(s))
        };
        let powers = scales.map(|s| powers(s));
        prefetch(p.ahead(block));
        for mut pair in panel_words!(p.bytes(), &offsets, block * CHUNK) {
            for _ in 0..8 {
                // The permutation looks at the low four bits of a word alone.
                let w = [0, 1]
                    .map(|i| _mm512_mul_ps(_mm512_permutexvar_ps(pair[i], values), powers[i]));
                take(col, w);
                pair = pair.map(|p| _mm512_srli_epi32::<4>(p));
                col += 1;
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn columns_of_interleaved(
    p: &Panel<'_>,
    cols: Range<usize>,
    mut take: impl FnMut(usize, [__m512; 2]),
) {
    let values = load(&VALUES);
    let mut col = 0;
    for block in cols.start / 32..cols.end / 32 {
        let bytes = p.interleaved(block);
        let powers = [0, 1].map(|i| powers(_mm512_cvtepu8_epi32(bytes_at(bytes, 512 + 16 * i))));
        prefetch(p.ahead(block));
        for w in 0..4 {
            let mut pair = [0, 1].map(|i| words_at(bytes, 128 * w + 64 * i));
            for _ in 0..8 {
                let w = [0, 1]
                    .map(|i| _mm512_mul_ps(_mm512_permutexvar_ps(pair[i], values), powers[i]));
                take(col, w);
                pair = pair.map(|p| _mm512_srli_epi32::<4>(p));
                col += 1;
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn words_at(block: &[u8; INTERLEAVED], at: usize) -> __m512i {
    assert!(at + 64 <= INTERLEAVED);
    // SAFETY: so many bytes are there; no alignment is asked for.
    unsafe { _mm512_loadu_si512(block.as_ptr().add(at).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn bytes_at(block: &[u8; INTERLEAVED], at: usize) -> __m128i {
    assert!(at + 16 <= INTERLEAVED);
    // SAFETY: so many bytes are there; no alignment is asked for.
    unsafe { _mm_loadu_si128(block.as_ptr().add(at).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn columns_of_bf16(p: &Panel<'_>, cols: Range<usize>, mut take: impl FnMut(usize, [__m512; 2])) {
    let offsets = p.offsets();
    let mut col = 0;
    for chunk in cols.start / 8..cols.end / 8 {
        prefetch(p.ahead(chunk));
        for pair in panel_words!(p.bytes(), &offsets, chunk * CHUNK) {
            for w in bf16_halves(pair) {
                take(col, w);
                col += 1;
            }
        }
    }
    if col < cols.len() {
        let words = rest_words(p).map(|pair| bf16_halves(pair));
        for w in words.as_flattened().iter().take(cols.len() - col) {
            take(col, *w);
            col += 1;
        }
    }
}

/// The two columns of words of bf16.
#[inline]
#[target_feature(enable = "avx512f")]
fn bf16_halves(pair: [__m512i; 2]) -> [[__m512; 2]; 2] {
    let high = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    [
        pair.map(|w| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(w))),
        pair.map(|w| _mm512_castsi512_ps(_mm512_and_si512(w, high))),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn columns_of_f32(p: &Panel<'_>, cols: Range<usize>, mut take: impl FnMut(usize, [__m512; 2])) {
    let offsets = p.offsets();
    let mut col = 0;
    for chunk in cols.start / 4..cols.end / 4 {
        prefetch(p.ahead(chunk));
        for pair in panel_words!(p.bytes(), &offsets, chunk * CHUNK) {
            take(col, pair.map(|w| _mm512_castsi512_ps(w)));
            col += 1;
        }
    }
    if col < cols.len() {
        for pair in rest_words(p).iter().take(cols.len() - col) {
            take(col, pair.map(|w| _mm512_castsi512_ps(w)));
            col += 1;
        }
    }
}

/// The words of the columns behind the last whole chunk.
#[target_feature(enable = "avx512f")]
fn rest_words(p: &Panel<'_>) -> [[__m512i; 2]; 4] {
    let mut bytes = [0; PANEL * CHUNK];
    for (row, to) in bytes.as_chunks_mut().0.iter_mut().enumerate() {
        *to = p.rest(row);
    }
    panel_words!(&bytes, &std::array::from_fn(|r| r * CHUNK), 0)
}

/// See [`super::Simd::dot`].
#[target_feature(enable = "avx512f")]
pub(super) fn dot<const N: usize>(p: &Panel<'_>, x: &[[f32; N]], sums: &mut [[f32; PANEL]; LANES]) {
    let mut acc = [[_mm512_setzero_ps(); 2]; N];
    columns(p, 0..p.cols(), |col, w| {
        for n in 0..N {
            let x = _mm512_set1_ps(x[col][n]);
            acc[n] = [
                _mm512_fmadd_ps(w[0], x, acc[n][0]),
                _mm512_fmadd_ps(w[1], x, acc[n][1]),
            ];
        }
    });
    save(&acc, sums);
}

/// See [`super::Simd::decode`].
#[target_feature(enable = "avx512f")]
pub(super) fn decode(p: &Panel<'_>, cols: Range<usize>, into: &mut [[f32; PANEL]]) {
    columns(p, cols, |col, w| {
        let (low, high) = halves_mut(&mut into[col]);
        store(low, w[0]);
        store(high, w[1]);
    });
}

/// See [`super::Simd::accumulate`].
#[target_feature(enable = "avx512f")]
pub(super) fn accumulate<const N: usize>(
    weights: &[[f32; PANEL]],
    x: &[Lanes],
    sums: &mut [[f32; PANEL]; LANES],
) {
    let mut acc: Sums<N> = std::array::from_fn(|n| {
        let (low, high) = halves(&sums[n]);
        [load(low), load(high)]
    });
    for (w, x) in weights.iter().zip(x) {
        let (low, high) = halves(w);
        let w = [load(low), load(high)];
        for n in 0..N {
            let x = _mm512_set1_ps(x.0[n]);
            acc[n] = [
                _mm512_fmadd_ps(w[0], x, acc[n][0]),
                _mm512_fmadd_ps(w[1], x, acc[n][1]),
            ];
        }
    }
    save(&acc, sums);
}

#[inline]
#[target_feature(enable = "avx512f")]
fn save<const N: usize>(acc: &Sums<N>, sums: &mut [[f32; PANEL]]) {
    for (acc, sums) in acc.iter().zip(sums) {
        let (low, high) = halves_mut(sums);
        store(low, acc[0]);
        store(high, acc[1]);
    }
}

fn halves(x: &[f32; PANEL]) -> (&[f32; 16], &[f32; 16]) {
    let (halves, _) = x.as_chunks();
    (&halves[0], &halves[1])
}

fn halves_mut(x: &mut [f32; PANEL]) -> (&mut [f32; 16], &mut [f32; 16]) {
    let (low, high) = x.split_at_mut(16);
    (
        low.first_chunk_mut().expect("half"),
        high.first_chunk_mut().expect("half"),
    )
}

/// See [`super::Simd::chains`].
#[target_feature(enable = "avx512f")]
pub(super) fn chains(n: usize) -> f32 {
    let (a, b) = std::hint::black_box((_mm512_set1_ps(0.5), _mm512_set1_ps(1.0)));
    let mut acc = [b; CHAINS];
    for _ in 0..n {
        for acc in &mut acc {
            *acc = _mm512_fmadd_ps(*acc, a, b);
        }
    }
    let mut out = [[0.0; 16]; CHAINS];
    for (out, acc) in out.iter_mut().zip(acc) {
        store(out, acc);
    }
    out.as_flattened().iter().sum()
}
