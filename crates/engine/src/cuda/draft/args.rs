//! What a guess works on. Mirrors `kernels/include/argmax.h`.

use crate::cuda::buffer::check_count;
use crate::cuda::dense::args::{Linear, LinearArgs};
use crate::cuda::driver::{Device, Memory};
use crate::executor::ExecError;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ArgmaxArgs {
    pub(crate) linear: LinearArgs,
    keys: u64,
}
const _: () = assert!(size_of::<ArgmaxArgs>() == 56);

/// The largest of each row of guesses so far: 0 between launches.
pub struct CudaGuesses {
    pub(super) keys: Memory,
    pub(super) rows: usize,
}

impl CudaGuesses {
    pub(crate) fn new(keys: Memory, rows: usize) -> Self {
        Self { keys, rows }
    }

    /// Waits, and gives the logits that the first keys stand for, NaN where there are none; the keys are 0 again.
    pub(crate) fn take_logits(&self, d: &Device, rows: usize) -> Result<Vec<f32>, ExecError> {
        let mut bytes = vec![0; rows * 8];
        d.read(&self.keys, &mut bytes)?;
        d.fill(&self.keys, 0)?;
        // As `key_of` has it.
        let logit = |key: &[u8; 8]| match (u64::from_le_bytes(*key) >> 32) as u32 {
            0 | u32::MAX => f32::NAN,
            ordered if ordered >> 31 == 1 => f32::from_bits(ordered & 0x7fff_ffff),
            ordered => f32::from_bits(!ordered),
        };
        Ok(bytes.as_chunks().0.iter().map(logit).collect())
    }
}

/// A product of which the largest of each row is looked for; its `out` is not used.
pub(crate) struct Argmax<'a> {
    pub(crate) linear: Linear<'a>,
    pub(crate) guesses: &'a CudaGuesses,
}

impl Argmax<'_> {
    /// The arguments, once the operands are known to fit.
    pub(super) fn checked(&self) -> Result<ArgmaxArgs, ExecError> {
        let rows = self.linear.rows;
        check_count("draft", "rows", rows.min(self.guesses.rows), rows)?;
        Ok(ArgmaxArgs {
            linear: self.linear.checked_inputs()?,
            keys: self.guesses.keys.at(),
        })
    }
}
