//! Activations in tiles of eight rows: element `(row, col)` is in lane `row % 8` of `data[(row / 8) * cols + col]`.

use super::lanes::{LANES, Lanes};
use crate::load_error::LoadError;
use crate::memory::zeroed;

/// A buffer of activations.
pub struct Tiles {
    pub(super) cols: usize,
    pub(super) data: Vec<Lanes>,
}

impl Tiles {
    pub(super) fn new(rows: usize, cols: usize) -> Result<Self, LoadError> {
        Ok(Self {
            cols,
            data: zeroed(rows.div_ceil(LANES) * cols, "the buffers of a step")?,
        })
    }

    /// The tiles that hold the first `rows` rows.
    #[inline(always)]
    pub(super) fn first(&self, rows: usize) -> &[Lanes] {
        &self.data[..rows.div_ceil(LANES) * self.cols]
    }

    #[inline(always)]
    pub(super) fn first_mut(&mut self, rows: usize) -> &mut [Lanes] {
        &mut self.data[..rows.div_ceil(LANES) * self.cols]
    }

    /// The elements of a row.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = f32> + '_ {
        let lane = row % LANES;
        self.data[row / LANES * self.cols..][..self.cols]
            .iter()
            .map(move |x| x.0[lane])
    }

    #[inline(always)]
    pub(super) fn row_mut(&mut self, row: usize) -> impl Iterator<Item = &mut f32> + '_ {
        let lane = row % LANES;
        self.data[row / LANES * self.cols..][..self.cols]
            .iter_mut()
            .map(move |x| &mut x.0[lane])
    }
}
