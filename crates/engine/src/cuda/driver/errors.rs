//! What the driver refuses, as the engine's errors.

use cudarc::driver::{DriverError, sys};

use crate::executor::ExecError;
use crate::load_error::LoadError;

/// A call that failed before there was a model.
pub(crate) fn failed(call: &str, e: DriverError) -> LoadError {
    LoadError::Cuda(format!("{call} failed: {}", describe(e)))
}

/// A call that failed while a model was at work.
pub(crate) fn lost(call: &str, e: DriverError) -> ExecError {
    ExecError(format!(
        "the CUDA device is lost: {call} failed: {}",
        describe(e)
    ))
}

/// A call that failed for what can be done without.
pub(crate) fn refused(call: &str, e: DriverError) -> ExecError {
    ExecError(format!("{call} failed: {}", describe(e)))
}

/// What failed while a model was loaded.
pub(crate) fn load_failed(e: ExecError) -> LoadError {
    LoadError::Cuda(e.0)
}

fn describe(e: DriverError) -> String {
    if e.0 == sys::CUresult::CUDA_ERROR_STUB_LIBRARY {
        return "the libcuda.so that was found is the CUDA toolkit's stub, which is for linking only, and not the driver's: take \
                the toolkit's folder that ends in /stubs out of LD_LIBRARY_PATH, so that the driver's own is found"
            .into();
    }
    let name = e.error_name().map(|n| n.to_string_lossy().into_owned());
    let what = e.error_string().map(|n| n.to_string_lossy().into_owned());
    match (name, what) {
        (Ok(name), Ok(what)) => format!("{name}: {what}"),
        _ => format!("CUDA error {}", e.0 as u32),
    }
}
