//! Launches the kernels of `kernels/route.cu`. Mirrors `kernels/include/routing.h`.

use super::buffer::CudaBuf;
use super::device::{Device, Kernel, Memory};
use super::experts_up_wide;
use super::regime::Regime;
use super::step::Step;
use super::weights::load_failed;
use crate::config::ModelConfig;
use crate::executor::ExecError;
use crate::load_error::LoadError;
use crate::ops::Done;

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct RoutingArgs {
    chosen: u64,
    weights: u64,
    pair_at: u64,
    tiles: u64,
    n_tiles: u64,
    h: u64,
    y: u64,
}
const _: () = assert!(size_of::<RoutingArgs>() == 56);

#[repr(C)]
#[derive(Clone, Copy)]
struct RouteArgs {
    routing: RoutingArgs,
    logits: u64,
    n_rows: u64,
    rows: u32,
    experts: u32,
    top_k: u32,
    tile: u32,
    unit: u32,
    unused: u32,
}
const _: () = assert!(size_of::<RouteArgs>() == 96 && std::mem::offset_of!(RouteArgs, rows) == 72);

/// Limits of the kernels: a thread for each expert, a lane for each choice.
pub(super) const MOST_EXPERTS: usize = 1024;
pub(super) const MOST_CHOICES: usize = 32;

/// Most places of a tile, but for the wide kernels'.
pub(super) const TILE: usize = 16;

/// Where the rows of a step go, and the experts' intermediate values.
pub struct CudaRouting {
    pub(super) chosen: Memory,
    pub(super) weights: Memory,
    pair_at: Memory,
    tiles: Memory,
    n_tiles: Memory,
    /// Of `router`: blocks that have ended, for each 16 rows.
    pub(super) ended: Memory,
    h: Memory,
    pub(super) y: Memory,
    rows: usize,
    pub(super) top_k: usize,
    pub(super) experts: usize,
    pub(super) hidden: usize,
    pub(super) intermediate: usize,
    /// The kernels that this step's schedule is for.
    pub(super) regime: Regime,
}

impl CudaRouting {
    pub(super) fn new(d: &Device, c: &ModelConfig, rows: usize) -> Result<Self, LoadError> {
        let pairs = rows * c.top_k;
        let words = |what: &str| d.memory(what, pairs * 4);
        let mut routing = Self {
            chosen: words("the experts chosen")?,
            weights: words("the experts' weights")?,
            pair_at: words("the experts' schedule")?,
            tiles: d.memory("the experts' tiles", 16)?,
            n_tiles: d.memory("the number of tiles", 4)?,
            ended: d.memory("the router's counters", rows.div_ceil(16) * 4)?,
            h: d.memory("the experts' inner values", pairs * c.intermediate * 2)?,
            y: d.memory("the experts' results", pairs * c.hidden * 2)?,
            rows,
            top_k: c.top_k,
            experts: c.experts,
            hidden: c.hidden,
            intermediate: c.intermediate,
            regime: Regime::Plain,
        };
        d.fill(&routing.ended, 0).map_err(load_failed)?;
        routing.tiles = d.memory("the experts' tiles", routing.most_tiles(rows) * 16)?;
        Ok(routing)
    }

    /// Tiles that this many rows may need: each expert that is used at all leaves at most one partly empty.
    pub(super) fn most_tiles(&self, rows: usize) -> usize {
        let pairs = rows * self.top_k;
        (pairs / TILE + pairs.min(self.experts)).min(pairs)
    }

    pub(super) fn holds(&self, what: &str, rows: usize) -> Done {
        if rows > self.rows {
            return Err(ExecError(format!(
                "{what}: {rows} rows, expected at most the {} planned",
                self.rows
            )));
        }
        Ok(())
    }

    pub(super) fn args(&self) -> RoutingArgs {
        RoutingArgs {
            chosen: self.chosen.at(),
            weights: self.weights.at(),
            pair_at: self.pair_at.at(),
            tiles: self.tiles.at(),
            n_tiles: self.n_tiles.at(),
            h: self.h.at(),
            y: self.y.at(),
        }
    }
}

/// What both kernels take.
fn checked(
    step: &Step,
    logits: &CudaBuf,
    routing: &mut CudaRouting,
    regime: Regime,
) -> Result<RouteArgs, ExecError> {
    let rows = step.rows;
    logits.holds("route", rows, routing.experts)?;
    routing.holds("route", rows)?;
    routing.regime = regime;
    let (tile, unit) = match regime {
        Regime::Wide => (experts_up_wide::PLACES, experts_up_wide::UNIT),
        Regime::Thin | Regime::Plain => (TILE, TILE),
    };
    Ok(RouteArgs {
        routing: routing.args(),
        logits: logits.memory.at(),
        n_rows: step.n_rows(),
        rows: rows as u32,
        experts: routing.experts as u32,
        top_k: routing.top_k as u32,
        tile: tile as u32,
        unit: unit as u32,
        unused: 0,
    })
}

pub(super) fn route(
    d: &Device,
    step: &Step,
    logits: &CudaBuf,
    routing: &mut CudaRouting,
    regime: Regime,
) -> Done {
    let args = checked(step, logits, routing, regime)?;
    // SAFETY: a warp per row of `logits`; the routing has room for these rows; experts and choices are within the kernels'
    // limits (checked when the model was loaded).
    unsafe { d.launch(Kernel::Route, (args.rows.div_ceil(4), 1), 128, &args) }?;
    schedule(d, step, logits, routing, regime)
}

/// Once the step's experts are chosen.
pub(super) fn schedule(
    d: &Device,
    step: &Step,
    logits: &CudaBuf,
    routing: &mut CudaRouting,
    regime: Regime,
) -> Done {
    let args = checked(step, logits, routing, regime)?;
    // SAFETY: as for `route`; the schedule reads what it or `router` wrote, and writes at most `most_tiles` tiles, whose number
    // only falls with their size.
    unsafe { d.launch(Kernel::Schedule, (1, 1), 1024, &args) }
}
