//! Launches `kernels/rope.cu`, and computes its table.

use super::args::Context;
use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::Kernel;
use crate::ops::OpResult;
use crate::rope::Rope;

#[repr(C)]
#[derive(Clone, Copy)]
struct RopeArgs {
    qkv: u64,
    positions: u64,
    table: u64,
    cols: u32,
    heads: u32,
    half: u32,
    unused: u32,
}
const _: () = assert!(size_of::<RopeArgs>() == 40 && std::mem::offset_of!(RopeArgs, cols) == 24);

/// Cosine and sine of every position, as the CPU computes them: the angle is rounded to f32 before it is used.
pub(crate) fn table(rope: &Rope, positions: usize) -> Vec<f32> {
    let mut table = Vec::with_capacity(positions * rope.inv_freq.len() * 2);
    for p in 0..positions {
        for f in &rope.inv_freq {
            let (sin, cos) = (p as f32 * f).sin_cos();
            table.extend([cos * rope.concentration, sin * rope.concentration]);
        }
    }
    table
}

pub(crate) fn rope(c: &Context<'_>, qkv: &CudaBuf) -> OpResult {
    let config = c.config;
    qkv.check_shape("rope", c.step.rows, config.qkv_dim())?;
    let args = RopeArgs {
        qkv: qkv.memory.at(),
        positions: c.step.positions(),
        table: c.rope_table.memory.at(),
        cols: qkv.cols as u32,
        heads: (config.heads + config.kv_heads) as u32,
        half: (config.head_dim / 2) as u32,
        unused: 0,
    };
    // SAFETY: a block per row; positions are below the context's length (`StepBatch`), for which the table was made.
    unsafe {
        c.device
            .launch(Kernel::Rope, (c.step.rows as u32, 1), 256, &args)
    }
}
