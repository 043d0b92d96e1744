//! `power.json`: what a run drew, and who says so.

use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Of the file's format.
pub(crate) const VERSION: u32 = 1;
/// A thousand devices in each of four sources take 2 MB.
const MAX_BYTES: u64 = 8 << 20;
/// Of any list in the file.
const MAX_ITEMS: usize = 4096;

/// What a run drew between two dates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Power {
    /// 1.
    pub version: u32,
    /// The window's begin, milliseconds since 1970, UTC: LoadGen's `power_begin` where the run has one.
    pub begin_unix_ms: i64,
    /// Its end: LoadGen's `power_end`.
    pub end_unix_ms: i64,
    /// Its length.
    pub seconds: f64,
    /// Time between two readings that was aimed at.
    pub interval_s: f64,
    /// The source of the next three: the first that covers the window, in the order command, Prometheus, NVML, RAPL. Never
    /// a sum over sources, which may measure the same watts. From outside: to be escaped where it is shown.
    pub source: Option<String>,
    /// Energy of all devices of that source over the window.
    pub energy_j: Option<f64>,
    /// That over the window's length.
    pub mean_w: Option<f64>,
    /// The sum of the devices' highest readings, which need not have been at one moment.
    pub max_w: Option<f64>,
    /// Tokens that were generated in the window, where the run counts them.
    pub tokens: Option<u64>,
    /// `tokens` over `energy_j`.
    pub tokens_per_joule: Option<f64>,
    /// Those that cover the window.
    pub sources: Vec<SourcePower>,
    /// Those that do not, each with why.
    pub left_out: Vec<LeftOut>,
    /// The system's clock was set while this was measured, by so many seconds in all: dates of the window may be off by it.
    pub clock_jumped_s: f64,
}

/// What a source says about the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourcePower {
    /// As people know it. From outside: to be escaped.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// Readings that it gave in all, of each device one.
    pub readings: u64,
    /// Of all its devices over the window.
    pub energy_j: f64,
    /// That over the window's length.
    pub mean_w: f64,
    /// The sum of the devices' highest readings.
    pub max_w: f64,
    /// Each device.
    pub devices: Vec<DevicePower>,
    /// What went wrong on the way.
    pub faults: Vec<Fault>,
}

/// What a device drew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DevicePower {
    /// UUID, RAPL zone or labels; empty for a command. From outside: to be escaped.
    pub id: String,
    /// Product name, or empty. From outside.
    pub name: String,
    /// Where `energy_j` is from.
    pub method: Method,
    /// Energy over the window.
    pub energy_j: f64,
    /// That over the window's length.
    pub mean_w: f64,
    /// The highest reading within the window; the mean where there was none.
    pub max_w: f64,
    /// The share of the window that readings cover, 0.9 to 1. The rest is taken to be like the mean.
    pub covered: f64,
    /// Points that are kept of its readings, in the window or not.
    pub points: u64,
    /// By its energy counter, if it has one that covers the window.
    pub counter_j: Option<f64>,
    /// By the trapezoid rule over its power, if that covers the window.
    pub trapezoid_j: Option<f64>,
}

/// Where an energy is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The device's energy counter.
    Counter,
    /// Power readings, by the trapezoid rule.
    Trapezoid,
}

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// `--power-command`: whatever it measures.
    Command,
    /// `--power-prometheus`: all devices that the exporter shows.
    Prometheus,
    /// GPUs of this machine, used by the run or not.
    Nvml,
    /// Processor packages and memory of this machine, as far as RAPL measures them.
    Rapl,
}

impl fmt::Display for SourceKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Command => "command",
            Self::Prometheus => "prometheus",
            Self::Nvml => "nvml",
            Self::Rapl => "rapl",
        })
    }
}

/// A source whose energy is not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// As people know it. From outside: to be escaped.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// Whether this machine simply has no such thing, which is no trouble.
    pub absent: bool,
    /// Readings that it gave all the same.
    pub readings: u64,
    /// Why, the main reason first. From outside.
    pub reasons: Vec<String>,
    /// What went wrong on the way.
    pub faults: Vec<Fault>,
}

/// Something that went wrong, once or often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// What was found and what was expected. From outside: to be escaped.
    pub what: String,
    /// How often.
    pub times: u64,
    /// The first time, in seconds since the measurement began.
    pub first_s: f64,
    /// The last time.
    pub last_s: f64,
}

impl Power {
    /// Reads a `power.json` that anybody may have written.
    ///
    /// # Errors
    ///
    /// [`Error::Unreadable`]; [`Error::Power`] for what is no such file, is of another version, or holds what cannot be.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable {
            path: path.into(),
            source,
        };
        let file = ossmark_files::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        Self::from_json(&bytes).map_err(|what| Error::Power {
            path: path.into(),
            what,
        })
    }

    /// The same, of bytes.
    ///
    /// # Errors
    ///
    /// What was found in it that cannot be.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("found more than {MAX_BYTES} bytes"));
        }
        let bad = |error: serde_json::Error| format!("found no such JSON: {error}");
        let Versioned { version } = serde_json::from_slice(bytes).map_err(bad)?;
        if version != VERSION {
            return Err(format!("found version {version}"));
        }
        let power: Self = serde_json::from_slice(bytes).map_err(bad)?;
        power.check()?;
        Ok(power)
    }

    /// As it stands in the file.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("texts, numbers and lists of them") + "\n"
    }

    fn check(&self) -> Result<(), String> {
        let number = |name: &str, value: f64| match value >= 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(format!("found {name} {value}, expected a number from 0 on")),
        };
        let few = |name: &str, len: usize| match len <= MAX_ITEMS {
            true => Ok(()),
            false => Err(format!("found {len} {name}, expected at most {MAX_ITEMS}")),
        };
        let faults = |faults: &[Fault]| {
            few("faults", faults.len())?;
            faults.iter().try_for_each(|fault| {
                number("first_s", fault.first_s)?;
                number("last_s", fault.last_s)
            })
        };
        let length_ms = self.end_unix_ms.checked_sub(self.begin_unix_ms);
        if !length_ms.is_some_and(|ms| (ms as f64 / 1e3 - self.seconds).abs() < 0.01) {
            return Err(format!(
                "found a window of {} s from {} to {} ms, which is another length",
                self.seconds, self.begin_unix_ms, self.end_unix_ms
            ));
        }
        number("seconds", self.seconds)?;
        number("interval_s", self.interval_s)?;
        number("clock_jumped_s", self.clock_jumped_s)?;
        for (name, value) in [
            ("energy_j", self.energy_j),
            ("mean_w", self.mean_w),
            ("max_w", self.max_w),
            ("tokens_per_joule", self.tokens_per_joule),
        ] {
            number(name, value.unwrap_or(0.0))?;
        }
        few("sources", self.sources.len())?;
        for source in &self.sources {
            number("energy_j", source.energy_j)?;
            number("mean_w", source.mean_w)?;
            number("max_w", source.max_w)?;
            faults(&source.faults)?;
            few("devices", source.devices.len())?;
            for device in &source.devices {
                number("energy_j", device.energy_j)?;
                number("mean_w", device.mean_w)?;
                number("max_w", device.max_w)?;
                number("covered", device.covered)?;
                number("counter_j", device.counter_j.unwrap_or(0.0))?;
                number("trapezoid_j", device.trapezoid_j.unwrap_or(0.0))?;
            }
        }
        few("left_out", self.left_out.len())?;
        for source in &self.left_out {
            few("reasons", source.reasons.len())?;
            faults(&source.faults)?;
        }
        Ok(())
    }
}
