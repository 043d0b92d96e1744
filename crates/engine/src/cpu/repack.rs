//! The experts' matrices as the CPU engine keeps them: in their memory map as shipped, or as a copy in the order in which
//! panels read them, which is made at load and comes from memory in one stream.

use std::ops::Range;

use memmap2::MmapMut;

use super::crew::Crew;
use super::simd::{Format, INTERLEAVED, PANEL, Panel};
use crate::load_error::LoadError;
use crate::weights::PackedTensor;

/// Whether the copy is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repack {
    /// When the experts take at most half of the memory that is free.
    #[default]
    Auto,
    /// Yes.
    On,
    /// No.
    Off,
}

/// What is said of weights that are nowhere.
pub(super) const FOR_A_GPU: &str =
    "these synthetic weights are for a GPU to make, expected weights in memory";

/// The matrices of all experts of a layer, `rows` each.
pub(super) struct ExpertMatrices {
    source: PackedTensor,
    rows: usize,
    /// Of each expert, whole panels; the last one's missing rows are zeros.
    copy: Option<MmapMut>,
}

impl ExpertMatrices {
    /// Experts of `rows` rows, `source.rows() / rows` of them; copied by `copied_by`, if by anybody.
    pub(super) fn new(
        source: &PackedTensor,
        rows: usize,
        copied_by: Option<&Crew>,
    ) -> Result<Self, LoadError> {
        if source.random.is_some() {
            return Err(LoadError::Settings(FOR_A_GPU.into()));
        }
        let mut matrices = Self {
            source: source.clone(),
            rows,
            copy: None,
        };
        if let Some(crew) = copied_by {
            matrices.copy = Some(matrices.interleaved(crew)?);
        }
        Ok(matrices)
    }

    /// Bytes that a copy of `source` takes.
    pub(super) fn copy_bytes(source: &PackedTensor, rows: usize) -> usize {
        let panels = source.rows() / rows * rows.div_ceil(PANEL);
        panels * source.cols() / 32 * INTERLEAVED
    }

    fn interleaved(&self, crew: &Crew) -> Result<MmapMut, LoadError> {
        let bytes = Self::copy_bytes(&self.source, self.rows);
        let mut map = MmapMut::map_anon(bytes).map_err(|_| LoadError::NoMemory {
            what: "the copy of the experts (--cpu-repack off does without)",
            bytes,
        })?;
        // Not in huge pages: where memory is in pieces they took seconds a GiB to get, and no step was faster for them.
        let blocks = self.source.cols() / 32;
        let panels = self.rows.div_ceil(PANEL);
        let jobs = map
            .chunks_exact_mut(blocks * INTERLEAVED)
            .enumerate()
            .collect();
        crew.run(jobs, bytes, |(i, to)| {
            let first = i % panels * PANEL;
            let rows = first..self.rows.min(first + PANEL);
            let start = i / panels * self.rows;
            let (first, n) = (start + rows.start, rows.len());
            interleave(
                &self.source.blocks()[first * blocks * 16..][..n * blocks * 16],
                &self.source.scales()[first * blocks..][..n * blocks],
                blocks,
                to,
            );
        });
        Ok(map)
    }

    /// The first of an expert's `rows`, which begin a panel.
    pub(super) fn panel(&self, expert: usize, rows: Range<usize>) -> Panel<'_> {
        let end = rows.end.min(rows.start + PANEL);
        let cols = self.source.cols();
        match &self.copy {
            Some(copy) => {
                let first = expert * self.rows.next_multiple_of(PANEL);
                let rows = first + rows.start..first + end;
                Panel::new(Format::Interleaved, (copy, &[]), rows, cols)
            }
            None => {
                let first = expert * self.rows;
                let data = (self.source.blocks(), self.source.scales());
                Panel::new(Format::Mxfp4, data, first + rows.start..first + end, cols)
            }
        }
    }
}

/// Puts up to [`PANEL`] rows of `blocks` blocks into a panel's order, see [`INTERLEAVED`]. `to` is zeros.
pub(super) fn interleave(bytes: &[u8], scales: &[u8], blocks: usize, to: &mut [u8]) {
    let rows = bytes
        .chunks_exact(blocks * 16)
        .zip(scales.chunks_exact(blocks));
    for (r, (bytes, scales)) in rows.enumerate() {
        let to = to.as_chunks_mut::<INTERLEAVED>().0.iter_mut();
        for ((to, block), scale) in to.zip(bytes.as_chunks::<16>().0).zip(scales) {
            let (words, ends) = to.split_at_mut(16 * PANEL);
            for (w, word) in block.as_chunks::<4>().0.iter().enumerate() {
                words[4 * (w * PANEL + r)..][..4].copy_from_slice(word);
            }
            ends[r] = *scale;
        }
    }
}
