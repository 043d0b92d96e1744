//! What a measurement is told.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Error, PowerCommand, PowerPrometheus};

/// Which sources, and how often. The default is what this machine itself can say: NVML and RAPL, each where it is there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time between two readings of a source; 100 ms to 60 s.
    pub interval: Duration,
    /// Whether to ask NVML.
    pub nvml: bool,
    /// NVML's library; `None`: the system's.
    pub nvml_library: Option<PathBuf>,
    /// Where RAPL's zones are; `None`: RAPL is not asked.
    pub powercap: Option<PathBuf>,
    /// `--power-command`. It runs a program, so it may come from the command line only, never from a file: whoever takes a
    /// `--config` from somebody else must not start theirs.
    pub command: Option<PowerCommand>,
    /// `--power-prometheus`.
    pub prometheus: Option<PowerPrometheus>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            nvml: true,
            nvml_library: None,
            powercap: Some("/sys/class/powercap".into()),
            command: None,
            prometheus: None,
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let allowed = Duration::from_millis(100)..=Duration::from_secs(60);
        if !allowed.contains(&self.interval) {
            return Err(Error::Interval {
                found: self.interval,
            });
        }
        Ok(())
    }
}
