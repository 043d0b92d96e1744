//! Mixture of experts: rows are grouped by expert, so that an expert's weights are decoded once for all its rows.

use super::crew::Crew;
use super::lanes::{LANES, Lanes, Rounding, exp};
use super::product::{Job, Rows, split};
use super::tiles::Tiles;
use crate::load_error::LoadError;

const NO_ROW: u32 = u32::MAX;

/// Where the rows of a step went, and the experts' intermediate values. Sorted rows are rows of tiles; a tile belongs to one
/// expert.
pub struct CpuRouting {
    pub(super) top_k: usize,
    experts: usize,
    /// Weight and sorted row of each row's choices, best first, `top_k` a row.
    pub(super) weights: Vec<f32>,
    pub(super) sorted_rows: Vec<u32>,
    chosen: Vec<u32>,
    /// The step's row at each sorted row, or `NO_ROW`.
    pub(super) row_at: Vec<u32>,
    /// In the order of experts.
    pub(super) groups: Vec<Group>,
    pub(super) x: Tiles,
    pub(super) h: Tiles,
    pub(super) y: Tiles,
}

/// The rows of one expert.
#[derive(Clone, Copy)]
pub(super) struct Group {
    expert: usize,
    first_tile: usize,
    rows: usize,
}

impl CpuRouting {
    pub(super) fn new(
        rows: usize,
        top_k: usize,
        experts: usize,
        hidden: usize,
        intermediate: usize,
    ) -> Result<Self, LoadError> {
        let assignments = rows * top_k;
        // Each expert that is used at all leaves at most one tile partly empty.
        let sorted_rows = assignments + assignments.min(experts) * (LANES - 1);
        Ok(Self {
            top_k,
            experts,
            weights: Vec::with_capacity(assignments),
            sorted_rows: Vec::with_capacity(assignments),
            chosen: Vec::with_capacity(assignments),
            row_at: Vec::with_capacity(sorted_rows),
            groups: Vec::with_capacity(experts),
            x: Tiles::new(sorted_rows, hidden)?,
            h: Tiles::new(sorted_rows, intermediate)?,
            y: Tiles::new(sorted_rows, hidden)?,
        })
    }

    /// Chooses experts for the first `rows` rows and lays out their sorted rows.
    #[inline(always)]
    pub(super) fn route(&mut self, logits: &Tiles, rows: usize) {
        self.weights.clear();
        self.chosen.clear();
        let mut row_logits = Vec::with_capacity(self.experts);
        for row in 0..rows {
            row_logits.clear();
            row_logits.extend(logits.row(row));
            let first = self.chosen.len();
            for _ in 0..self.top_k {
                let mut best: Option<usize> = None;
                for (e, l) in row_logits.iter().enumerate() {
                    let taken = self.chosen[first..].contains(&(e as u32));
                    // A NaN never wins; the row it came from carries it on in its residual, to the check of the logits.
                    if !taken && best.is_none_or(|b| *l > row_logits[b]) {
                        best = Some(e);
                    }
                }
                self.chosen.push(best.unwrap_or(0) as u32);
            }
            let max = row_logits[self.chosen[first] as usize];
            let start = self.weights.len();
            for e in &self.chosen[first..] {
                self.weights.push(exp(row_logits[*e as usize] - max));
            }
            let total: f32 = self.weights[start..].iter().sum();
            self.weights[start..].iter_mut().for_each(|w| *w /= total);
        }
        self.lay_out();
    }

    fn lay_out(&mut self) {
        let mut counts = vec![0_usize; self.experts];
        self.chosen.iter().for_each(|e| counts[*e as usize] += 1);
        self.groups.clear();
        let mut next = vec![0_usize; self.experts];
        let mut tiles = 0;
        for (e, n) in counts.into_iter().enumerate().filter(|(_, n)| *n > 0) {
            next[e] = tiles * LANES;
            self.groups.push(Group {
                expert: e,
                first_tile: tiles,
                rows: n,
            });
            tiles += n.div_ceil(LANES);
        }
        self.row_at.clear();
        self.row_at.resize(tiles * LANES, NO_ROW);
        self.sorted_rows.clear();
        for (assignment, e) in self.chosen.iter().enumerate() {
            let sorted_row = &mut next[*e as usize];
            self.row_at[*sorted_row] = (assignment / self.top_k) as u32;
            self.sorted_rows.push(*sorted_row as u32);
            *sorted_row += 1;
        }
    }

    /// Copies each sorted row's row of `x`.
    pub(super) fn gather(&mut self, crew: &Crew, x: &Tiles) {
        let work = self.row_at.len() * x.cols;
        let tiles = self.x.data.chunks_exact_mut(x.cols);
        let jobs = self.row_at.chunks_exact(LANES).zip(tiles).collect();
        crew.run(jobs, work, |(sorted_rows, tile)| {
            for (lane, row) in sorted_rows
                .iter()
                .enumerate()
                .filter(|(_, row)| **row != NO_ROW)
            {
                for (to, from) in tile.iter_mut().zip(x.row(*row as usize)) {
                    to.0[lane] = from;
                }
            }
        });
    }

    /// Products of the gathered rows with the first matrices: two rows of weights make one of `h`.
    pub(super) fn up_jobs(&mut self, parts: usize) -> Vec<Job<'_>> {
        jobs(&self.groups, (2, parts), &self.x, &mut self.h)
    }

    /// Products of `h` with the second matrices, into `y`.
    pub(super) fn down_jobs(&mut self, parts: usize) -> Vec<Job<'_>> {
        jobs(&self.groups, (1, parts), &self.h, &mut self.y)
    }

    /// The weighted sum for the rows of output tile `tile`.
    #[inline(always)]
    pub(super) fn combine(&self, tile: usize, rounding: Rounding, out: &mut [Lanes]) {
        let rows = (self.weights.len() / self.top_k - tile * LANES).min(LANES);
        out.fill(Lanes::ZERO);
        for lane in 0..rows {
            let assignments =
                (tile * LANES + lane) * self.top_k..(tile * LANES + lane + 1) * self.top_k;
            for (w, sorted_row) in self.weights[assignments.clone()]
                .iter()
                .zip(&self.sorted_rows[assignments])
            {
                for (o, y) in out.iter_mut().zip(self.y.row(*sorted_row as usize)) {
                    o.0[lane] = w.mul_add(y, o.0[lane]);
                }
            }
        }
        out.iter_mut().for_each(|o| *o = rounding.apply(*o));
    }
}

fn jobs<'a>(
    groups: &[Group],
    (shrink, parts): (usize, usize),
    x: &'a Tiles,
    out: &'a mut Tiles,
) -> Vec<Job<'a>> {
    let (cols, mut jobs, mut rest) = (out.cols, Vec::new(), out.data.as_mut_slice());
    for g in groups {
        let n = g.rows.div_ceil(LANES);
        let (tiles, after) = std::mem::take(&mut rest).split_at_mut(n * cols);
        rest = after;
        let x = Rows {
            tiles: &x.data[g.first_tile * x.cols..][..n * x.cols],
            n: g.rows,
        };
        split(
            &mut jobs,
            g.expert,
            (cols * shrink, shrink, parts),
            x,
            tiles,
        );
    }
    jobs
}

/// gpt-oss's clamped SwiGLU. Gate has no lower bound (gpt_oss/torch/model.py, `swiglu`).
#[inline(always)]
pub(super) fn swiglu(gate: Lanes, up: Lanes, limit: f32) -> Lanes {
    let gate = gate.map(
        #[inline(always)]
        |g| if g > limit { limit } else { g },
    );
    let up = up.map(
        #[inline(always)]
        |u| if u > limit { limit } else { u },
    );
    let up = up.map(
        #[inline(always)]
        |u| if u < -limit { -limit } else { u },
    );
    let decay = gate
        .map(
            #[inline(always)]
            |g| -1.702 * g,
        )
        .exp();
    let glu = gate.zip(
        decay,
        #[inline(always)]
        |g, d| g / (1.0 + d),
    );
    glu.zip(
        up,
        #[inline(always)]
        |g, u| g * (u + 1.0),
    )
}
