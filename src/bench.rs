//! Measurements. A timing is never a test: these commands print what they measured and judge nothing but its validity.

pub(crate) mod child;
mod cpu;
pub(crate) mod device;
pub(crate) mod loadgen;
mod running;
mod server;
mod speculation;
pub(crate) mod tune;
