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
mod kernels;
mod load;
mod measure;
mod moe;
mod ops;
mod select;
mod step;
mod weights;

pub use self::buffer::CudaBuf;
pub use self::draft::args::CudaGuesses;
pub use self::draft::draft_argmax::CudaTokenTable;
pub use self::driver::{DeviceInfo, cuda_devices, keep_context};
pub use self::load::{CudaSettings, load_cuda, load_cuda_synthetic};
pub use self::measure::{MeasureSettings, Timing, measure};
pub use self::moe::routing::CudaRouting;
pub use self::ops::CudaOps;
pub use self::weights::{CudaExperts, CudaLinear, CudaVector};
