//! The device: its memory, its stream, its kernels' images, recorded launches. Knows nothing of the model.

mod device;
mod devices;
mod errors;
pub(crate) mod graphs;
mod images;
mod memory;

pub(crate) use self::device::Device;
pub use self::devices::{DeviceInfo, cuda_device, cuda_devices, has_cuda_driver, keep_context};
pub(crate) use self::errors::load_failed;
pub use self::images::has_kernels_for;
pub(crate) use self::images::kernels_sha256;
pub(crate) use self::memory::{Event, Memory, Pinned};
pub(crate) use super::kernels::Kernel;
