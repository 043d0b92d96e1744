//! Which kernels compute, and how that came about: for people, and for `run_plan.json`.

use std::fmt;

use serde::{Serialize, Serializer};

use super::fast::FastKernel;
use super::thresholds::{Thresholds, TimedRows};

/// A kernel that gave another result than the plain ones on this device, and is not used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeftOut {
    /// It.
    #[serde(serialize_with = "by_name")]
    pub kernel: FastKernel,
    /// The operation that showed it.
    pub operation: &'static str,
    /// Rows of the step that did.
    pub rows: usize,
    /// Norm of the difference from the plain kernels' result, over its norm; NaN, which JSON has as null, where it was none.
    pub error: f64,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kernel,
            operation,
            rows,
            error,
        } = self;
        write!(
            f,
            "{kernel}: {operation} of a step of {rows} rows differs by {error:.4} of its size from the plain kernels'"
        )
    }
}

/// Where a choice of kernels is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChosenFrom {
    /// Times that were measured at this start.
    Measured,
    /// An earlier start on such a device.
    Cache,
    /// Another engine of this process.
    Process,
}

/// From how many rows on which kernels take the work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chosen {
    /// Rows.
    pub thresholds: Thresholds,
    /// Where they are from.
    pub from: ChosenFrom,
    /// What measuring took.
    pub seconds: f64,
    /// What was measured.
    pub times: Vec<TimedRows>,
    /// Why an earlier choice was not taken, or this one is not kept.
    pub notes: Vec<String>,
}

impl Chosen {
    /// Without measuring.
    pub(super) fn found(thresholds: Thresholds, from: ChosenFrom) -> Self {
        Self {
            thresholds,
            from,
            seconds: 0.0,
            times: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Which kernels compute on a GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct KernelUse {
    /// The plain ones alone.
    pub plain: bool,
    /// Kernels that somebody asked to be left out.
    pub without: Vec<String>,
    /// Kernels that disagreed.
    pub left_out: Vec<LeftOut>,
    /// Results that were compared; null where they were not.
    pub compared: Option<usize>,
    /// The largest difference of those that agreed, as in [`LeftOut`].
    pub error: f64,
    /// By times that were measured; null where the counted thresholds hold.
    pub chosen: Option<Chosen>,
    /// Sizes of the decode steps that are recorded and replayed.
    pub recorded: Vec<usize>,
    /// Bytes of the device's memory that they took.
    pub recorded_bytes: u64,
}

/// For the line that the engine starts with.
impl fmt::Display for KernelUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.compared {
            _ if self.plain => f.write_str("plain kernels alone")?,
            None => f.write_str("kernels not checked")?,
            Some(results) => write!(
                f,
                "kernels checked against the plain ones: {results} results differ by at most {:.4} of their size",
                self.error
            )?,
        }
        match self.chosen.as_ref().map(|chosen| chosen.from) {
            None => {}
            Some(ChosenFrom::Measured) => f.write_str("; chosen by times measured now")?,
            Some(ChosenFrom::Cache) => f.write_str("; chosen by times of an earlier start")?,
            Some(ChosenFrom::Process) => f.write_str("; chosen as for the engine before")?,
        }
        let left_out = self.left_out.iter().map(|left| left.kernel.to_string());
        let without: Vec<_> = self.without.iter().cloned().chain(left_out).collect();
        if !without.is_empty() {
            write!(f, "; left out: {}", without.join(", "))?;
        }
        Ok(())
    }
}

fn by_name<S: Serializer>(kernel: &FastKernel, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(kernel)
}
