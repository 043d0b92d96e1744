//! Weights as the CPU engine holds them: where their rows are, panel by panel.

use std::ops::Range;

use super::crew::Crew;
use super::repack::{ExpertMatrices, FOR_A_GPU};
use super::simd::{Format, PANEL, Panel};
use crate::config::ModelConfig;
use crate::load_error::LoadError;
use crate::weights::{DenseTensor, ExpertSources, LinearSource, Stored};

/// A matrix in its memory map.
pub struct CpuLinear {
    parts: Vec<(Format, DenseTensor)>,
    pub(super) bias: Vec<f32>,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

/// A layer's experts.
pub struct CpuExperts {
    pub(super) up: ExpertMatrices,
    pub(super) up_bias: DenseTensor,
    pub(super) down: ExpertMatrices,
    pub(super) down_bias: DenseTensor,
}

impl CpuExperts {
    pub(super) fn new(
        config: &ModelConfig,
        source: &ExpertSources,
        copied_by: Option<&Crew>,
    ) -> Result<Self, LoadError> {
        let (up, down) = (2 * config.intermediate, config.hidden);
        Ok(Self {
            up: ExpertMatrices::new(&source.up, up, copied_by)?,
            up_bias: source.up_bias.clone(),
            down: ExpertMatrices::new(&source.down, down, copied_by)?,
            down_bias: source.down_bias.clone(),
        })
    }

    /// Bytes that a copy in another order takes.
    #[must_use]
    pub fn copy_bytes(config: &ModelConfig, source: &ExpertSources) -> usize {
        ExpertMatrices::copy_bytes(&source.up, 2 * config.intermediate)
            + ExpertMatrices::copy_bytes(&source.down, config.hidden)
    }
}

impl CpuLinear {
    pub(super) fn new(source: &LinearSource) -> Result<Self, LoadError> {
        let parts = source.weight.iter().map(|part| match part.stored {
            Stored::Bf16 => Ok((Format::Bf16, part.clone())),
            Stored::F32 => Ok((Format::F32, part.clone())),
            Stored::Random(_) => Err(LoadError::Settings(FOR_A_GPU.into())),
        });
        Ok(Self {
            rows: source.weight.iter().map(DenseTensor::rows).sum(),
            cols: source.weight[0].cols(),
            bias: source.bias.iter().flat_map(DenseTensor::to_vec).collect(),
            parts: parts.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn decode_row(&self, mut row: usize, into: &mut [f32]) {
        for (_, part) in &self.parts {
            if row < part.rows() {
                return part.decode_row(row, into);
            }
            row -= part.rows();
        }
    }

    /// The first of `rows`: as many as a panel holds and one part has.
    pub(super) fn panel(&self, rows: Range<usize>) -> Panel<'_> {
        let mut first = 0;
        for (format, part) in &self.parts {
            if rows.start < first + part.rows() {
                let start = rows.start - first;
                let end = (rows.end - first).min(part.rows()).min(start + PANEL);
                return Panel::new(*format, (part.bytes().0, &[]), start..end, self.cols);
            }
            first += part.rows();
        }
        unreachable!("rows {rows:?} of a matrix of {}", self.rows)
    }
}
