//! Matrix products, weight-stationary: eight rows of weights are decoded once and meet all tiles of activations.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::lanes::{LANES, Lanes, Vectors};

/// Multiply-adds (or as much other work) below which a second thread costs more than it saves: waking one takes some
/// 10 us.
const WORTH_SHARING: usize = 200_000;

thread_local! {
    /// Decoded weights; kept, so that a step does not allocate.
    static DECODED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Runs all jobs, on several threads when the `work` is worth it.
pub(super) fn run<J: Send>(jobs: Vec<J>, work: usize, f: impl Fn(J) + Sync + Send) {
    if work < WORTH_SHARING || jobs.len() < 2 {
        jobs.into_iter().for_each(f);
    } else {
        jobs.into_par_iter().with_max_len(1).for_each(f);
    }
}

/// Some rows of one matrix, times all tiles of its activations.
pub(super) struct Job<'a> {
    /// Which matrix, for the decoder.
    pub(super) matrix: usize,
    pub(super) rows: Range<usize>,
    /// Whole tiles.
    pub(super) x: &'a [Lanes],
    /// This job's part of each output tile.
    pub(super) outs: Vec<&'a mut [Lanes]>,
}

/// Cuts the product of a matrix of `rows` rows into about `parts` jobs. `out` has `rows / shrink` columns.
pub(super) fn split<'a>(
    jobs: &mut Vec<Job<'a>>,
    matrix: usize,
    (rows, shrink, parts): (usize, usize, usize),
    x: &'a [Lanes],
    out: &'a mut [Lanes],
) {
    let per_job = rows.div_ceil(parts.max(1)).next_multiple_of(8);
    let first_job = jobs.len();
    jobs.extend((0..rows).step_by(per_job).map(|first| Job {
        matrix,
        rows: first..rows.min(first + per_job),
        x,
        outs: Vec::new(),
    }));
    for tile in out.chunks_exact_mut(rows / shrink) {
        for (job, part) in jobs[first_job..]
            .iter_mut()
            .zip(tile.chunks_mut(per_job / shrink))
        {
            job.outs.push(part);
        }
    }
}

/// Computes all jobs over matrices of `cols` columns. `decode(matrix, row, into)` gives the weights; `finish(matrix, first
/// row, sums, outputs)` rotations eight rows of sums into at max `8 / shrink` of output. Both have to be `inline(always)`.
pub(super) fn compute<D, F>(
    vectors: Vectors,
    jobs: Vec<Job<'_>>,
    (cols, shrink): (usize, usize),
    decode: D,
    finish: F,
) where
    D: Fn(usize, usize, &mut [f32]) + Sync,
    F: Fn(usize, usize, &[Lanes; 8], &mut [Lanes]) + Sync,
{
    let work = jobs.iter().map(|j| j.rows.len() * j.x.len() * LANES).sum();
    run(jobs, work, |mut job| {
        // Borrowed out here: what `with_borrow_mut` calls is not inlined into the dispatch.
        DECODED.with_borrow_mut(|weights| {
            vectors.run(
                #[inline(always)]
                || job.compute(vectors, weights, (cols, shrink), &decode, &finish),
            );
        });
    });
}

impl Job<'_> {
    #[inline(always)]
    fn compute<D, F>(
        &mut self,
        vectors: Vectors,
        weights: &mut Vec<f32>,
        (cols, shrink): (usize, usize),
        decode: &D,
        finish: &F,
    ) where
        D: Fn(usize, usize, &mut [f32]),
        F: Fn(usize, usize, &[Lanes; 8], &mut [Lanes]),
    {
        if weights.len() < 8 * cols {
            weights.resize(8 * cols, 0.0);
        }
        for first in self.rows.clone().step_by(8) {
            let n = (self.rows.end - first).min(8);
            for (r, row) in weights.chunks_exact_mut(cols).take(n).enumerate() {
                (*decode)(self.matrix, first + r, row);
            }
            // Missing rows are whatever was there; `finish` drops them.
            let mut rows = [&weights[..cols]; 8];
            for (r, row) in rows.iter_mut().enumerate() {
                *row = &weights[r * cols..][..cols];
            }
            let at = (first - self.rows.start) / shrink;
            for (tile, out) in self.x.chunks_exact(cols).zip(&mut self.outs) {
                (*finish)(
                    self.matrix,
                    first,
                    &vectors.dot8(tile, rows),
                    &mut out[at..][..n / shrink],
                );
            }
        }
    }
}
