//! Which kernels take an operation: bound by memory below some number of rows, by the tensor cores above. Host side only.

use super::attention::args::Operands;
use super::attention::{attention_packed, attention_plain, attention_prefill};
use super::buffer::CudaBuf;
use super::dense::{linear, linear_thin, linear_wide};
use super::driver::device::Device;
use super::driver::memory::Memory;
use super::moe::routing::CudaRouting;
use super::moe::tiles::{Regime, thin_takes, wide_takes};
use super::moe::{experts_down, experts_down_thin, experts_down_wide};
use super::moe::{experts_up, experts_up_thin, experts_up_wide};
use super::weights::{CudaExperts, CudaLinear};
use crate::config::ModelConfig;
use crate::ops::Done;

/// Places an expert has on average from which on the wide kernels take them. The thin ones read an expert's weights anew for
/// each 16 places, the wide ones once for 128; at 16 places on average half of the experts need a second reading. Below
/// that the thin ones have more loads in flight. To be measured.
const WIDE_PLACES: usize = 16;

/// Rows of a step from which on every kernel that this model can have takes a part in it.
pub(super) fn rows_for_all(c: &ModelConfig) -> usize {
    WIDE_ROWS.max((WIDE_PLACES * c.experts).div_ceil(c.top_k))
}

/// For both products of a step's experts, by shape alone: all layers have one. `moderate_scales`: all experts have them.
pub(super) fn experts(
    d: &Device,
    c: &ModelConfig,
    plain: bool,
    moderate_scales: bool,
    rows: usize,
) -> Regime {
    let wide = moderate_scales
        && wide_takes(d, 2 * c.intermediate, c.hidden)
        && wide_takes(d, c.hidden, c.intermediate);
    if plain {
        Regime::Plain
    } else if wide && rows * c.top_k >= WIDE_PLACES * c.experts {
        Regime::Wide
    } else {
        Regime::Thin
    }
}

/// Launches the experts' first product, by the kernel that the step was scheduled for.
pub(super) fn experts_up(
    d: &Device,
    rows: usize,
    x: &CudaBuf,
    w: &CudaExperts,
    limit: f32,
    routing: &CudaRouting,
) -> Done {
    let up = match routing.regime {
        Regime::Wide => experts_up_wide::experts_up_wide,
        Regime::Thin if thin_takes(&w.up) => experts_up_thin::experts_up_thin,
        Regime::Thin | Regime::Plain => experts_up::experts_up,
    };
    up(d, rows, x, w, limit, routing)
}

/// Launches the experts' second product and the sum over a row's experts.
pub(super) fn experts_down(
    d: &Device,
    rows: usize,
    w: &CudaExperts,
    routing: &CudaRouting,
    out: &CudaBuf,
) -> Done {
    let down = match routing.regime {
        Regime::Wide => experts_down_wide::experts_down_wide,
        Regime::Thin if thin_takes(&w.down) => experts_down_thin::experts_down_thin,
        Regime::Thin | Regime::Plain => experts_down::experts_down,
    };
    down(d, rows, w, routing)?;
    experts_down::combine(d, rows, routing, out)
}

/// Rows from which on the wide kernel takes a dense product. The thin one reads the matrix again for each 16 rows, from the
/// second-level cache at best: four times at 64 rows, 21 us for 5,120 x 2,880 at 5.5 TB/s by count, where the wide one
/// reads it once, on the 32 multiprocessors that have a block. To be measured.
const WIDE_ROWS: usize = 64;

/// Whether the router's product and what follows it are one kernel: where the product is the thin kernel's.
pub(super) fn router_takes(rows: usize, w: &CudaLinear) -> bool {
    rows < WIDE_ROWS && linear_thin::takes(w)
}

/// Launches a dense product.
pub(super) fn linear(
    d: &Device,
    plain: bool,
    x: &CudaBuf,
    w: &CudaLinear,
    rows: usize,
    out: &CudaBuf,
) -> Done {
    if plain {
        linear::linear(d, x, w, rows, out)
    } else if rows >= WIDE_ROWS && linear_wide::takes(d, w) {
        linear_wide::linear_wide(d, x, w, rows, out)
    } else if linear_thin::takes(w) {
        linear_thin::linear_thin(d, x, w, rows, out)
    } else {
        linear::linear(d, x, w, rows, out)
    }
}

/// New rows of a sequence from which on the tensor cores do its attention: a block's worth. Fewer would leave most of its
/// tile empty, and the packed kernel reads each key as often as there are rows. To be measured.
const PREFILL_ROWS: usize = 16;

/// Launches attention: the sequences of a step may go to different kernels.
pub(super) fn attention(
    d: &Device,
    plain: bool,
    operands: &Operands<'_>,
    partials: &Memory,
) -> Done {
    if plain || !attention_packed::takes(operands.config, operands.pool) {
        return attention_plain::attention(d, operands);
    }
    let (fewest, most) = operands.step.rows_of_seqs;
    if most >= PREFILL_ROWS {
        attention_prefill::attention_prefill(d, operands, PREFILL_ROWS)?;
    }
    if fewest < PREFILL_ROWS {
        attention_packed::attention_packed(d, operands, partials, PREFILL_ROWS)?;
    }
    Ok(())
}
