//! Activations on the device: rows of bf16, one after the other.

use super::driver::Memory;
use crate::executor::ExecError;
use crate::ops::OpResult;

/// A buffer of activations.
pub struct CudaBuf {
    pub(super) memory: Memory,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl CudaBuf {
    /// Whether the first `rows` rows of `cols` elements are there.
    pub(super) fn check_shape(&self, what: &str, rows: usize, cols: usize) -> OpResult {
        check_count(what, "columns of a buffer", self.cols, cols)?;
        if rows > self.rows {
            return Err(ExecError(format!(
                "{what}: a buffer of {} rows, expected at least {rows}",
                self.rows
            )));
        }
        Ok(())
    }
}

/// Refuses operands that do not belong together.
pub(super) fn check_count(what: &str, of: &str, found: usize, expected: usize) -> OpResult {
    if found == expected {
        return Ok(());
    }
    Err(ExecError(format!(
        "{what}: {found} {of}, expected {expected}: a defect in the engine, please report it"
    )))
}
