//! The in-process inference engine: model, weights, KV blocks, scheduler, and the device operations behind `Ops`.

pub mod executor;
pub mod types;
