//! How the GPUs of this machine are set, looked at once, before a measurement.

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::Clock;
use nvml_wrapper::error::NvmlError;

use crate::nvml::{MAX_GPUS, NvmlSource, names};

/// A GPU's settings; `None` where it does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuState {
    /// In NVML's order.
    pub index: u32,
    /// The product's name.
    pub name: String,
    /// Whether errors of its memory are corrected.
    pub ecc: Option<bool>,
    /// Whether the driver stays loaded between processes.
    pub persistence: Option<bool>,
    /// Processes that compute on it.
    pub processes: Option<usize>,
    /// What the clock of its multiprocessors is set to, and the most that it has, in MHz.
    pub application_mhz: Option<u32>,
    /// See `application_mhz`.
    pub max_mhz: Option<u32>,
    /// Why clocks are held down now, in NVML's words.
    pub throttle_reasons: Vec<String>,
}

/// All GPUs that NVML shows; none where there is no NVML.
pub fn gpus() -> Vec<GpuState> {
    let Ok(nvml) = NvmlSource::new(None).load() else {
        return Vec::new();
    };
    let count = nvml.device_count().unwrap_or(0).min(MAX_GPUS);
    let states = (0..count).filter_map(|index| state(&nvml, index).ok());
    states.collect()
}

fn state(nvml: &Nvml, index: u32) -> Result<GpuState, NvmlError> {
    let device = nvml.device_by_index(index)?;
    let processes = device.running_compute_processes().ok();
    let ecc = device.is_ecc_enabled().ok();
    Ok(GpuState {
        index,
        name: device.name().unwrap_or_default(),
        ecc: ecc.map(|state| state.currently_enabled),
        persistence: device.is_in_persistent_mode().ok(),
        processes: processes.map(|processes| processes.len()),
        application_mhz: device.applications_clock(Clock::SM).ok(),
        max_mhz: device.max_clock_info(Clock::SM).ok(),
        throttle_reasons: device
            .current_throttle_reasons()
            .map(names)
            .unwrap_or_default(),
    })
}
