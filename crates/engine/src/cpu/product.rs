//! Matrix products, weight-stationary: up to 32 rows of weights meet all rows of activations before the next ones are
//! read. Few rows of activations meet the weights as they are decoded; many meet decoded columns that stay in the
//! first-level cache, eight rows at a time.

use std::cell::RefCell;
use std::ops::Range;

use super::crew::Crew;
use super::lanes::{LANES, Lanes, Vectors};
use super::simd::{PANEL, Panel, Simd};

/// Columns that are decoded at a time: 24 KiB of a panel, so that they and their activations fit the first-level cache.
const COLUMNS: usize = 192;

/// What a thread keeps, so that a step does not allocate.
#[derive(Default)]
struct Scratch {
    /// Activations without the lanes that hold no row.
    x: Vec<f32>,
    weights: Vec<[f32; PANEL]>,
    sums: Vec<[[f32; PANEL]; LANES]>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
}

/// Rows of activations in whole tiles.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) tiles: &'a [Lanes],
    /// How many of them there are.
    pub(super) n: usize,
}

/// Some rows of one matrix, times all rows of its activations.
pub(super) struct Job<'a> {
    /// Which matrix, for `panel` and `finish`.
    pub(super) matrix: usize,
    pub(super) rows: Range<usize>,
    pub(super) x: Rows<'a>,
    /// This job's part of each output tile.
    pub(super) outs: Vec<&'a mut [Lanes]>,
}

/// Cuts the product of a matrix of `rows` rows into about `parts` jobs. `out` has `rows / shrink` columns.
pub(super) fn split<'a>(
    jobs: &mut Vec<Job<'a>>,
    matrix: usize,
    (rows, shrink, parts): (usize, usize, usize),
    x: Rows<'a>,
    out: &'a mut [Lanes],
) {
    let per_job = rows.div_ceil(parts.max(1)).next_multiple_of(PANEL);
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

/// Computes all jobs over matrices of `cols` columns. `panel(matrix, rows)` gives the first of these rows; `finish(matrix,
/// first row, sums, outputs)` turns the sums of a panel's rows into `1 / shrink` as many outputs, and has to be
/// `inline(always)`.
pub(super) fn compute<'w, P, F>(
    (crew, simd, vectors): (&Crew, Simd, Vectors),
    jobs: Vec<Job<'_>>,
    (cols, shrink): (usize, usize),
    panel: P,
    finish: F,
) where
    P: Fn(usize, Range<usize>) -> Panel<'w> + Sync,
    F: Fn(usize, usize, &[Lanes], &mut [Lanes]) + Sync,
{
    let work = jobs.iter().map(|j| j.rows.len() * j.x.n * cols).sum();
    crew.run(jobs, work, |mut job| {
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { x, weights, sums } = scratch;
            sums.resize(job.outs.len().max(sums.len()), [[0.0; PANEL]; LANES]);
            let few = job.x.n <= LANES;
            if few {
                pack(job.x, cols, x);
            }
            let mut first = job.rows.start;
            while first < job.rows.end {
                let p = panel(job.matrix, first..job.rows.end);
                if few {
                    simd.dot(&p, job.x.n, x, &mut sums[0]);
                } else {
                    many(simd, &p, job.x, weights, sums);
                }
                let (at, n) = ((first - job.rows.start) / shrink, p.rows());
                // Not inside `with_borrow_mut`'s own closure alone: what it calls is not inlined into the dispatch.
                vectors.run(
                    #[inline(always)]
                    || {
                        for (sums, out) in sums.iter().zip(&mut job.outs) {
                            let lanes: [Lanes; PANEL] = transposed(sums);
                            finish(job.matrix, first, &lanes[..n], &mut out[at..][..n / shrink]);
                        }
                    },
                );
                first += n;
            }
        });
    });
}

/// The activations of less than a tile, column after column.
fn pack(x: Rows<'_>, cols: usize, into: &mut Vec<f32>) {
    into.clear();
    for column in &x.tiles[..cols] {
        into.extend_from_slice(&column.0[..x.n]);
    }
}

/// The products of a panel with several tiles.
fn many(
    simd: Simd,
    p: &Panel<'_>,
    x: Rows<'_>,
    weights: &mut Vec<[f32; PANEL]>,
    sums: &mut [[[f32; PANEL]; LANES]],
) {
    let cols = p.cols();
    weights.resize(COLUMNS, [0.0; PANEL]);
    let tiles = x.tiles.chunks_exact(cols);
    sums[..tiles.len()].fill([[0.0; PANEL]; LANES]);
    for first in (0..cols).step_by(COLUMNS) {
        let range = first..cols.min(first + COLUMNS);
        let weights = &mut weights[..range.len()];
        simd.decode(p, range.clone(), weights);
        for (t, (tile, sums)) in tiles.clone().zip(&mut *sums).enumerate() {
            let n = (x.n - t * LANES).min(LANES);
            simd.accumulate(n, weights, &tile[range.clone()], sums);
        }
    }
}

#[inline(always)]
fn transposed(sums: &[[f32; PANEL]; LANES]) -> [Lanes; PANEL] {
    let mut out = [Lanes::ZERO; PANEL];
    for (lane, row) in sums.iter().enumerate() {
        for (o, x) in out.iter_mut().zip(row) {
            o.0[lane] = *x;
        }
    }
    out
}
