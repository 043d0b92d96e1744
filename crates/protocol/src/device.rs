//! What a device says of itself while a run goes on.

use serde::{Deserialize, Serialize};

/// Figures of a device. `None`: not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceFigures {
    /// Power draw.
    pub power_w: Option<f64>,
    /// Energy since some moment before the run, which only differences have a meaning of.
    pub energy_j: Option<f64>,
    /// Clock of the SMs.
    pub clock_mhz: Option<f64>,
    /// Temperature.
    pub temperature_c: Option<f64>,
    /// Memory in use.
    pub memory_used_mib: Option<f64>,
    /// Share of the time in which a kernel ran.
    pub utilization_percent: Option<f64>,
    /// Why its clocks are held down, in NVML's words.
    pub throttle_reasons: Option<Vec<String>>,
}
