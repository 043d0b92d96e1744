//! The device: its memory, its stream, its kernels' images, recorded launches. Knows nothing of the model.

pub(crate) mod device;
pub(crate) mod graphs;
mod images;
pub(crate) mod memory;
