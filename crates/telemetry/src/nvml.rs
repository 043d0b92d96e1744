//! NVML: the GPUs of this machine, where NVIDIA's library is. It is looked for when the measurement starts; neither the build
//! nor the start of this program needs it.
//!
//! All GPUs that NVML shows are measured, whether the run uses them or not: CUDA_VISIBLE_DEVICES does not hide any from it.
//! Power is the mean of the last second on Ampere and later; the energy counter, which Volta and later have, is what the
//! energy is taken from.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use nvml_wrapper::error::NvmlError;
use ossmark_files::Escaped;
use ossmark_protocol::DeviceFigures;

use crate::reading::{DEVICE_W, Reading};
use crate::source::{Round, Source, Trouble};

/// The driver's package has the first, the toolkit's development files the second.
const LIBRARIES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];
/// More than a machine has.
pub(crate) const MAX_GPUS: u32 = 256;

/// The library as a source.
pub(crate) struct NvmlSource {
    library: Option<PathBuf>,
    nvml: Option<Nvml>,
}

impl NvmlSource {
    pub(crate) fn new(library: Option<PathBuf>) -> Self {
        Self {
            library,
            nvml: None,
        }
    }
}

/// The library of this name, or the system's.
pub(crate) fn load(library: Option<&Path>) -> Result<Nvml, Trouble> {
    let load = |path: &OsStr| Nvml::builder().lib_path(path).init();
    let loaded = match library {
        Some(path) => load(path.as_os_str()),
        None => load(LIBRARIES[0].as_ref()).or_else(|error| match error {
            NvmlError::LibloadingError(_) => load(LIBRARIES[1].as_ref()),
            error => Err(error),
        }),
    };
    loaded.map_err(|error| {
        let what = format!("NVML cannot be used: {}", Escaped(&error));
        match error {
            NvmlError::LibloadingError(_)
            | NvmlError::DriverNotLoaded
            | NvmlError::LibraryNotFound => Trouble::Absent(what),
            _ => Trouble::Fault(what),
        }
    })
}

impl Source for NvmlSource {
    fn read(&mut self) -> Result<Round, Trouble> {
        let nvml = match self.nvml.take() {
            Some(nvml) => nvml,
            None => load(self.library.as_deref())?,
        };
        let fault = |error: NvmlError| Trouble::Fault(format!("NVML: {}", Escaped(error)));
        let count = match nvml.device_count() {
            Ok(0) => return Err(Trouble::Absent("NVML shows no GPU".into())),
            Ok(count) => count.min(MAX_GPUS),
            // The driver may have been loaded anew: begin from the start next time.
            Err(error) => return Err(fault(error)),
        };
        let mut round = Round::default();
        for index in 0..count {
            match gpu(&nvml, index) {
                Ok(reading) => round.readings.push(reading),
                Err(error) => round
                    .faults
                    .push(format!("GPU {index}: {}", Escaped(error))),
            }
        }
        self.nvml = Some(nvml);
        Ok(round)
    }

    fn most_w(&self) -> f64 {
        DEVICE_W
    }
}

/// A GPU's figures. It must know its power or its energy; of the rest, whatever it knows.
fn gpu(nvml: &Nvml, index: u32) -> Result<Reading, NvmlError> {
    let device = nvml.device_by_index(index)?;
    let power_w = device
        .power_usage()
        .map(|milliwatts| f64::from(milliwatts) / 1e3);
    let energy_j = device
        .total_energy_consumption()
        .map(|millijoules| millijoules as f64 / 1e3)
        .ok();
    let power_w = match power_w {
        Err(error) if energy_j.is_none() => return Err(error),
        power_w => power_w.ok(),
    };
    let clock = device.clock_info(Clock::SM).ok();
    let temperature = device.temperature(TemperatureSensor::Gpu).ok();
    let memory = device.memory_info().ok();
    let utilization = device.utilization_rates().ok();
    let throttled = device.current_throttle_reasons().ok();
    Ok(Reading {
        id: device.uuid().unwrap_or_else(|_| format!("GPU {index}")),
        name: device.name().unwrap_or_default(),
        figures: DeviceFigures {
            power_w,
            energy_j,
            clock_mhz: clock.map(f64::from),
            temperature_c: temperature.map(f64::from),
            memory_used_mib: memory.map(|memory| memory.used as f64 / f64::from(1 << 20)),
            utilization_percent: utilization.map(|utilization| f64::from(utilization.gpu)),
            throttle_reasons: throttled.map(names),
        },
    })
}

/// Why clocks are held down, in NVML's words.
pub(crate) fn names(reasons: ThrottleReasons) -> Vec<String> {
    let names = reasons.iter_names().map(|(name, _)| name);
    names.map(str::to_ascii_lowercase).collect()
}
