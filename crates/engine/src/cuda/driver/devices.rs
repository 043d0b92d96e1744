//! Which CUDA devices there are, before one is opened.

use std::ffi::c_int;

use cudarc::driver::{result, sys};

use super::errors::failed;
use crate::load_error::LoadError;

/// The oldest driver that loads what CUDA 13 builds, as `cuDriverGetVersion` counts.
const OLDEST_DRIVER: c_int = 13_000;

/// What a person wants to know of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// As the driver calls it.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (i32, i32),
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Device memory.
    pub total_bytes: u64,
    /// The newest CUDA that the driver knows, as `cuDriverGetVersion` counts: 13000 for 13.0.
    pub driver: i32,
}

/// How many CUDA devices there are.
///
/// # Errors
/// No driver, or one that is too old or does not answer; the message says what to do.
pub fn cuda_devices() -> Result<u32, LoadError> {
    if !has_cuda_driver() {
        return Err(LoadError::Cuda(
            "NVIDIA's driver (libcuda.so) was not found: install driver 580 or later, or use --engine cpu (run, generate, infer, serve)".into(),
        ));
    }
    let version = driver_version()?;
    if version < OLDEST_DRIVER {
        return Err(LoadError::Cuda(format!(
            "NVIDIA's driver supports CUDA {}.{}, expected 13.0 or later: install driver 580 or later, or use --engine cpu (run, generate, infer, serve)",
            version / 1000,
            version % 1000 / 10
        )));
    }
    result::init().map_err(|e| failed("cuInit", e))?;
    let count = result::device::get_count().map_err(|e| failed("cuDeviceGetCount", e))?;
    Ok(count.max(0) as u32)
}

/// What there is to know of device `ordinal` before it is opened; no context is made.
///
/// # Errors
/// As for [`cuda_devices`]; there is no such device, or it does not answer.
pub fn cuda_device(ordinal: u32) -> Result<DeviceInfo, LoadError> {
    device_info(get(ordinal)?)
}

/// Whether there is a library to ask, whatever it answers.
#[must_use]
pub fn has_cuda_driver() -> bool {
    // SAFETY: only asks the system's loader for the library.
    unsafe { sys::is_culib_present() }
}

/// Of a device that [`get`] gave.
pub(super) fn device_info(device: sys::CUdevice) -> Result<DeviceInfo, LoadError> {
    // SAFETY: the caller has it from the driver.
    let total = unsafe { result::device::total_mem(device) };
    let total = total.map_err(|e| failed("cuDeviceTotalMem", e))?;
    use sys::CUdevice_attribute as Attribute;
    let attribute = |a| {
        // SAFETY: the caller has it from the driver.
        unsafe { result::device::get_attribute(device, a) }
            .map_err(|e| failed("cuDeviceGetAttribute", e))
    };
    Ok(DeviceInfo {
        name: result::device::get_name(device).map_err(|e| failed("cuDeviceGetName", e))?,
        capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?.max(0)
            as u32,
        total_bytes: total as u64,
        driver: driver_version()?,
    })
}

/// The driver's handle of device `ordinal`.
pub(super) fn get(ordinal: u32) -> Result<sys::CUdevice, LoadError> {
    let count = cuda_devices()?;
    if ordinal >= count {
        return Err(LoadError::Cuda(format!(
            "CUDA device {ordinal} was asked for, and there are {count}: choose one below that, or use --engine cpu (run, generate, infer, serve)"
        )));
    }
    result::device::get(ordinal as c_int).map_err(|e| failed("cuDeviceGet", e))
}

/// As [`DeviceInfo::driver`] says it. The library is present.
pub(super) fn driver_version() -> Result<c_int, LoadError> {
    let mut version = 0;
    // SAFETY: the caller has seen the library, and this call is allowed before cuInit.
    unsafe { sys::cuDriverGetVersion(&mut version) }
        .result()
        .map_err(|e| failed("cuDriverGetVersion", e))?;
    Ok(version)
}

/// Keeps the primary context of device `ordinal` until the process ends. An engine that is dropped otherwise takes it along,
/// and the next one pays for a new one: half a second, and seconds where nothing else holds the device.
///
/// # Errors
/// As for [`cuda_devices`]; there is no such device, or it does not answer.
pub fn keep_context(ordinal: u32) -> Result<(), LoadError> {
    let device = get(ordinal)?;
    // SAFETY: the device was just given by the driver. Never released: the driver does that when the process ends.
    unsafe { result::primary_ctx::retain(device) }
        .map_err(|e| failed("cuDevicePrimaryCtxRetain", e))?;
    Ok(())
}
