//! Arguments of the dense products. Mirrors `kernels/include/linear.h`.

use crate::cuda::buffer::{CudaBuf, check_count};
use crate::cuda::driver::Device;
use crate::cuda::weights::CudaLinear;
use crate::executor::ExecError;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct LinearArgs {
    x: u64,
    weight: u64,
    bias: u64,
    out: u64,
    pub(crate) rows: u32,
    cols: u32,
    pub(crate) outs: u32,
    unused: u32,
}
const _: () =
    assert!(size_of::<LinearArgs>() == 48 && std::mem::offset_of!(LinearArgs, rows) == 32);

/// What a dense product works on.
pub(crate) struct Linear<'a> {
    pub(crate) device: &'a Device,
    pub(crate) x: &'a CudaBuf,
    pub(crate) w: &'a CudaLinear,
    pub(crate) rows: usize,
    pub(crate) out: &'a CudaBuf,
}

impl Linear<'_> {
    /// The arguments, once the operands are known to fit.
    pub(crate) fn checked(&self) -> Result<LinearArgs, ExecError> {
        self.out.check_shape("linear", self.rows, self.w.outs)?;
        Ok(LinearArgs {
            out: self.out.memory.at(),
            ..self.checked_inputs()?
        })
    }

    /// The same for a kernel that stores no product.
    pub(crate) fn checked_inputs(&self) -> Result<LinearArgs, ExecError> {
        let Self { x, w, .. } = self;
        x.check_shape("linear", self.rows, w.cols)?;
        if let Some(bias) = &w.bias {
            check_count("linear", "elements of a bias", bias.len, w.outs)?;
        }
        Ok(LinearArgs {
            x: x.memory.at(),
            weight: w.weight.at(),
            bias: w.bias.as_ref().map_or(0, |b| b.memory.at()),
            out: 0,
            rows: self.rows as u32,
            cols: w.cols as u32,
            outs: w.outs as u32,
            unused: 0,
        })
    }
}
