//! The CUDA engine: the operations of [`crate::ops::Ops`] as checked launches of the kernels in `kernels/`.
//!
//! `driver` speaks to the device; `dense`, `attention` and `moe` have a file for each kernel, its launch, beside what
//! kernels of one family share; `select` alone knows which kernels there are for an operation; `ops` puts them together.

#![allow(
    unsafe_code,
    reason = "launching kernels and calling the driver, each with its reason"
)]

mod attention;
mod buffer;
mod check;
mod dense;
mod draft;
mod draft_ops;
mod driver;
mod fast;
mod kernel_use;
mod kernels;
mod load;
mod measure;
mod moe;
mod ops;
mod prepare;
mod select;
mod settings;
mod step;
mod steps;
mod thresholds;
mod tune;
mod tuned;
mod weights;

pub use self::buffer::CudaBuf;
pub use self::draft::args::CudaGuesses;
pub use self::draft::draft_argmax::CudaTokenTable;
pub use self::driver::{
    DeviceInfo, cuda_device, cuda_devices, has_cuda_driver, has_kernels_for, keep_context,
};
pub use self::fast::{FastKernel, KernelSet};
pub use self::kernel_use::{Chosen, ChosenFrom, KernelUse, LeftOut};
pub use self::load::{load_cuda, load_cuda_synthetic};
pub use self::measure::{MeasureSettings, Timing, measure};
pub use self::moe::routing::CudaRouting;
pub use self::ops::CudaOps;
pub use self::settings::CudaSettings;
pub use self::thresholds::{Thresholds, TimedOp, TimedRows};
pub use self::weights::{CudaExperts, CudaLinear, CudaVector};
