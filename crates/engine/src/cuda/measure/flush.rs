//! What is read between the runs of a measurement.

use crate::cuda::buffer::CudaBuf;
use crate::cuda::driver::load_failed;
use crate::cuda::ops::CudaOps;
use crate::cuda::weights::CudaLinear;
use crate::load_error::LoadError;
use crate::ops::{OpResult, Ops};

/// A matrix that is read between the runs. Not written: the cache would write back what is left of that in the middle of a run,
/// which would pay for it.
pub(super) struct Flush {
    matrix: CudaLinear,
    x: CudaBuf,
    out: CudaBuf,
}

impl Flush {
    /// Of about so many bytes.
    pub(super) fn new(ops: &mut CudaOps, cols: usize, bytes: usize) -> Result<Self, LoadError> {
        let outs = (bytes / 2 / cols).next_multiple_of(8);
        let weight = ops.device.memory("the cache's eviction", outs * cols * 2)?;
        let (x, out) = (ops.buf(1, cols)?, ops.buf(1, outs)?);
        for memory in [&weight, &x.memory] {
            ops.device.fill(memory, 0).map_err(load_failed)?;
        }
        let matrix = CudaLinear {
            weight,
            bias: None,
            outs,
            cols,
        };
        Ok(Self { matrix, x, out })
    }

    /// Leaves nothing in the second-level cache that a run wants, and little that has to be written back.
    pub(super) fn evict(&mut self, ops: &mut CudaOps) -> OpResult {
        // By the fast kernel, whatever is measured.
        let reference = std::mem::replace(&mut ops.reference, false);
        let done = ops.linear(&self.x, &self.matrix, 1, &mut self.out);
        ops.reference = reference;
        done
    }
}
