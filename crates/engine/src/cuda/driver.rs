//! The device: its memory, its stream, its kernels' images, recorded launches. Knows nothing of the model.

mod device;
pub(crate) mod graphs;
mod images;
mod memory;

pub(crate) use self::device::{Device, load_failed};
pub use self::device::{DeviceInfo, cuda_devices};
pub(crate) use self::memory::{Event, Memory, Pinned};
pub(crate) use super::kernels::Kernel;
