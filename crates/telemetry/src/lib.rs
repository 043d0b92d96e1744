//! Power and device figures beside a run, and the energy of a window of it.
//!
//! Owns: the sources (NVML, RAPL, a command, Prometheus), a thread for each, what makes a reading credible, energy over
//! LoadGen's performance window, `power.json`. Does not own: the run, the record, the command line.
//!
//! No source can harm or delay a run: everything that may wait is done on the source's own thread, [`Telemetry::start`] and
//! [`Telemetry::latest`] never wait for one, and [`Telemetry::stop`] waits for [`STOP_LIMIT`] at most. A source that hangs,
//! fails or lies is left out, with its reasons in [`Power::left_out`]; one that comes back is used again, and its energy
//! counts where its readings cover the window.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

mod assemble;
mod board;
mod clock;
mod command;
mod energy;
mod error;
mod exposition;
mod gpu_state;
mod group;
mod http;
mod nvml;
mod power;
mod prometheus;
mod rapl;
mod reading;
mod series;
mod settings;
mod source;
mod telemetry;
mod url;
mod window;
mod worker;

#[cfg(test)]
mod tests;

pub use board::{Gpu, Latest};
pub use command::PowerCommand;
pub use error::Error;
pub use gpu_state::{GpuState, gpu_states};
pub use group::end_commands;
pub use power::{DevicePower, Fault, LeftOut, Method, Power, SourceKind, SourcePower};
pub use prometheus::PowerPrometheus;
pub use settings::Settings;
pub use telemetry::{Measured, STOP_LIMIT, Telemetry, Watch};
pub use window::Window;

/// The file of [`Power`] in a run's directory.
pub const POWER: &str = "power.json";
