//! How the GPUs of this machine are set up, as NVML tells: for whoever is asked what to change before a run.

use std::path::Path;

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::Clock;
use nvml_wrapper::error::NvmlError;
use ossmark_files::Escaped;

use crate::nvml::{MAX_GPUS, load, names};
use crate::source::Trouble;

/// A GPU; what it does not know is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GpuState {
    /// Its number for NVML, which shows all GPUs.
    pub index: u32,
    /// As the driver calls it.
    pub name: String,
    /// The driver stays loaded while nobody uses the GPU.
    pub persistence: Option<bool>,
    /// Memory errors are corrected.
    pub ecc: Option<bool>,
    /// It is cut into instances.
    pub mig: Option<bool>,
    /// Of the driver.
    pub driver: Option<String>,
    /// Of the multiprocessors, now and at most, in MHz.
    pub clock_mhz: Option<(u32, u32)>,
    /// That settings hold the multiprocessors to, in MHz.
    pub application_mhz: Option<u32>,
    /// That is enforced, and the default one, in watts.
    pub power_limit_w: Option<(f64, f64)>,
    /// Used and all, in bytes.
    pub memory_bytes: Option<(u64, u64)>,
    /// Processes that compute on it.
    pub processes: Option<usize>,
    /// Why clocks are held down, in NVML's words.
    pub throttle_reasons: Vec<String>,
    /// It does not answer: what NVML says instead.
    pub lost: Option<String>,
}

/// All that NVML shows, by this library or the system's; none where there is no NVML.
///
/// # Errors
/// NVML is there and does not answer.
pub fn gpu_states(library: Option<&Path>) -> Result<Vec<GpuState>, String> {
    let nvml = match load(library) {
        Ok(nvml) => nvml,
        Err(Trouble::Absent(_)) => return Ok(Vec::new()),
        Err(Trouble::Fault(what)) => return Err(what),
    };
    let count = nvml.device_count();
    let count = count.map_err(|error| format!("NVML: {}", Escaped(error)))?;
    let lost = |index: u32, error: NvmlError| GpuState {
        index,
        lost: Some(Escaped(error).to_string()),
        ..GpuState::default()
    };
    let all = 0..count.min(MAX_GPUS);
    let states = all.map(|index| state(&nvml, index).unwrap_or_else(|error| lost(index, error)));
    Ok(states.collect())
}

fn state(nvml: &Nvml, index: u32) -> Result<GpuState, NvmlError> {
    let device = nvml.device_by_index(index)?;
    let now = device.clock_info(Clock::SM).ok();
    let most = device.max_clock_info(Clock::SM).ok();
    let watts = |milliwatts: u32| f64::from(milliwatts) / 1e3;
    let enforced = device.enforced_power_limit().ok().map(watts);
    let default = device.power_management_limit_default().ok().map(watts);
    let memory = device.memory_info().ok();
    let throttled = device.current_throttle_reasons().ok();
    Ok(GpuState {
        index,
        name: device.name().unwrap_or_default(),
        persistence: device.is_in_persistent_mode().ok(),
        ecc: device
            .is_ecc_enabled()
            .ok()
            .map(|ecc| ecc.currently_enabled),
        mig: device.mig_mode().ok().map(|mig| mig.current != 0),
        driver: nvml.sys_driver_version().ok(),
        clock_mhz: now.zip(most),
        application_mhz: device.applications_clock(Clock::SM).ok(),
        power_limit_w: enforced.zip(default),
        memory_bytes: memory.map(|memory| (memory.used, memory.total)),
        processes: device.running_compute_processes().ok().map(|p| p.len()),
        throttle_reasons: throttled.map(names).unwrap_or_default(),
        lost: None,
    })
}
