//! Which rows go to which expert, and the experts' intermediate values. Mirrors `kernels/include/routing.h`.

use super::tiles::{KernelVariant, TILE};
use crate::config::ModelConfig;
use crate::cuda::driver::{Device, Memory, load_failed};
use crate::executor::ExecError;
use crate::load_error::LoadError;
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct RoutingArgs {
    chosen: u64,
    weights: u64,
    assignment_at: u64,
    tiles: u64,
    n_tiles: u64,
    h: u64,
    y: u64,
}
const _: () = assert!(size_of::<RoutingArgs>() == 56);

/// Where the rows of a step go, and the experts' intermediate values.
pub struct CudaRouting {
    pub(crate) chosen: Memory,
    pub(crate) weights: Memory,
    assignment_at: Memory,
    tiles: Memory,
    n_tiles: Memory,
    /// Of `router`: blocks that have ended, for each 16 rows.
    pub(crate) ended: Memory,
    h: Memory,
    pub(crate) y: Memory,
    rows: usize,
    pub(crate) top_k: usize,
    pub(crate) experts: usize,
    pub(crate) hidden: usize,
    pub(crate) intermediate: usize,
    /// The kernels that this step's schedule is for.
    pub(crate) variant: KernelVariant,
}

impl CudaRouting {
    pub(crate) fn new(d: &Device, c: &ModelConfig, rows: usize) -> Result<Self, LoadError> {
        let assignments = rows * c.top_k;
        let words = |what: &str| d.memory(what, assignments * 4);
        let mut routing = Self {
            chosen: words("the experts chosen")?,
            weights: words("the experts' weights")?,
            assignment_at: words("the experts' schedule")?,
            tiles: d.memory("the experts' tiles", 16)?,
            n_tiles: d.memory("the number of tiles", 4)?,
            ended: d.memory("the router's counters", rows.div_ceil(16) * 4)?,
            h: d.memory(
                "the experts' inner values",
                assignments * c.intermediate * 2,
            )?,
            y: d.memory("the experts' results", assignments * c.hidden * 2)?,
            rows,
            top_k: c.top_k,
            experts: c.experts,
            hidden: c.hidden,
            intermediate: c.intermediate,
            variant: KernelVariant::Reference,
        };
        routing.tiles = d.memory("the experts' tiles", routing.max_tiles(rows) * 16)?;
        // A schedule that no kernel wrote, for it is at fault and about to be found out, sends nobody past the end of anything.
        let Self {
            chosen,
            assignment_at,
            tiles,
            n_tiles,
            ended,
            ..
        } = &routing;
        for memory in [chosen, assignment_at, tiles, n_tiles, ended] {
            d.fill(memory, 0).map_err(load_failed)?;
        }
        Ok(routing)
    }

    /// Tiles that this many rows may need: each expert that is used at all leaves at most one partly empty.
    pub(crate) fn max_tiles(&self, rows: usize) -> usize {
        let assignments = rows * self.top_k;
        (assignments / TILE + assignments.min(self.experts)).min(assignments)
    }

    pub(crate) fn check_shape(&self, what: &str, rows: usize) -> OpResult {
        if rows > self.rows {
            return Err(ExecError(format!(
                "{what}: {rows} rows, expected at most the {} planned",
                self.rows
            )));
        }
        Ok(())
    }

    pub(crate) fn args(&self) -> RoutingArgs {
        RoutingArgs {
            chosen: self.chosen.at(),
            weights: self.weights.at(),
            assignment_at: self.assignment_at.at(),
            tiles: self.tiles.at(),
            n_tiles: self.n_tiles.at(),
            h: self.h.at(),
            y: self.y.at(),
        }
    }
}
