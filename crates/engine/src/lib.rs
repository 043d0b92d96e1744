//! The in-process inference engine: model, weights, KV blocks, scheduler, and the device operations behind `Ops`.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

mod blocks;
mod clocked;
mod engine;
mod error;
pub mod executor;
pub mod fake;
mod in_flight;
mod limits;
mod pipeline;
mod resolve;
mod rng;
mod scheduler;
mod sequence;
mod stats;

// Numerics: everything that computes a step.
pub mod batch;
pub mod config;
pub mod cpu;
pub mod cuda;
mod dtype;
pub mod eagle3;
pub mod fp8;
mod load;
pub mod load_error;
mod load_progress;
mod memory;
pub mod model;
pub mod mxfp4;
pub mod ops;
pub mod rope;
mod runner;
pub mod weights;

pub use cpu::Repack;
pub use cpu::load::{CpuSettings, load_cpu, load_cpu_synthetic};
pub use cuda::{
    CudaSettings, FastKernel, KernelSet, KernelUse, LeftOut, cuda_devices, load_cuda,
    load_cuda_synthetic,
};
pub use dtype::{Dtype, KvDtype};
pub use load::{LoadedModel, ModelInfo};
pub use load_error::LoadError;
pub use load_progress::LoadProgress;
pub use model::{Change, Probe, Work};

pub use blocks::BlockError;
pub use clocked::{Clocked, Progress, StepWork};
pub use eagle3::{Drafter, Features, Speculation, SyntheticHead};
pub use engine::{Engine, EngineSettings};
pub use error::EngineError;
