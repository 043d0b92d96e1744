//! `--power-prometheus`: an exporter's metrics, by default those of NVIDIA's DCGM exporter.
//!
//! The exporter is asked itself (its /metrics), not a Prometheus server behind it, whose values may be a minute old. DCGM's
//! exporter collects every 30 s unless it is started with `-c 1000`; its values stand still in between.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use ossmark_files::Escaped;
use ossmark_protocol::DeviceFigures;
use tokio::runtime::{Builder, Runtime};

use crate::Error;
use crate::exposition::{Sample, samples};
use crate::http::get;
use crate::nvml::names;
use crate::reading::{DEVICE_W, Reading, SYSTEM_W};
use crate::source::{Round, Source, Trouble};
use crate::url::Url;

/// DCGM's names with their units. Source: dcgm-exporter, etc/default-counters.csv. Energy is in millijoules, memory in MiB.
const DCGM: [&str; 8] = [
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
    "DCGM_FI_DEV_SM_CLOCK",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS",
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS",
];
/// A sample that says when it was taken may be this old.
const MAX_AGE_MS: f64 = 10e3;
/// Characters of a device's name and labels.
const MAX_NAME: usize = 256;

/// Where metrics are, and which is the power. Shown without user, password and query.
#[derive(Clone, Debug)]
pub struct PowerPrometheus {
    url: Url,
    metric: Option<String>,
}

impl FromStr for PowerPrometheus {
    type Err = Error;

    /// A URL, `http://[USER:PASSWORD@]HOST[:PORT]/PATH[?QUERY]`, of a DCGM exporter.
    ///
    /// # Errors
    ///
    /// [`Error::Url`], which does not repeat the URL.
    fn from_str(url: &str) -> Result<Self, Error> {
        Ok(Self {
            url: Url::parse(url)?,
            metric: None,
        })
    }
}

impl PowerPrometheus {
    /// For another exporter: its metric of watts, of which every series is a device and all are added up.
    ///
    /// # Errors
    ///
    /// [`Error::Metric`] for what is no metric's name.
    pub fn with_metric(self, name: &str) -> Result<Self, Error> {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if name.is_empty()
            || !name.chars().all(good)
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(Error::Metric { name: name.into() });
        }
        Ok(Self {
            metric: Some(name.into()),
            ..self
        })
    }
}

impl fmt::Display for PowerPrometheus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "--power-prometheus {}", Escaped(&self.url))
    }
}

/// The exporter as a source.
pub(crate) struct Prometheus {
    settings: PowerPrometheus,
    runtime: Option<Runtime>,
}

impl Prometheus {
    pub(crate) fn new(settings: PowerPrometheus) -> Self {
        Self {
            settings,
            runtime: None,
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Without waiting for a look at a name server that goes on.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Source for Prometheus {
    fn read(&mut self) -> Result<Round, Trouble> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            // One thread for names: those that hang do not pile up.
            None => Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(1)
                .build()
                .map_err(|error| Trouble::Fault(format!("cannot be asked: {error}")))?,
        };
        let answer = runtime.block_on(get(&self.settings.url));
        self.runtime = Some(runtime);
        let body = answer.map_err(Trouble::Fault)?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let metric = self.settings.metric.as_deref();
        readings(&body, metric, now.as_secs_f64() * 1e3).map_err(Trouble::Fault)
    }

    fn most_w(&self) -> f64 {
        match self.settings.metric {
            None => DEVICE_W,
            Some(_) => SYSTEM_W,
        }
    }
}

/// The devices of an answer.
fn readings(body: &[u8], metric: Option<&str>, now_unix_ms: f64) -> Result<Round, String> {
    let text = str::from_utf8(body).map_err(|_| "the answer is no text".to_owned())?;
    let only = metric.map(|metric| [metric]);
    let metrics = only.as_ref().map_or(&DCGM[..], |only| &only[..]);
    let mut devices: BTreeMap<String, Reading> = BTreeMap::new();
    let mut round = Round::default();
    for sample in samples(text, metrics)? {
        let old = sample.at_unix_ms.map_or(0.0, |at| now_unix_ms - at);
        if old > MAX_AGE_MS {
            round
                .faults
                .push("its samples are more than 10 s old by their own times".into());
            continue;
        }
        let id = match metric {
            None => gpu(&sample),
            Some(_) => all_labels(&sample),
        };
        let reading = devices.entry(id.clone()).or_insert_with(|| Reading {
            id,
            name: cut(sample.label("modelName").unwrap_or_default()),
            figures: DeviceFigures::default(),
        });
        take(&mut reading.figures, sample.metric, sample.value);
    }
    let known =
        |reading: &Reading| reading.figures.power_w.is_some() || reading.figures.energy_j.is_some();
    round.readings = devices.into_values().filter(known).collect();
    if round.readings.is_empty() && round.faults.is_empty() {
        return Err(format!("the answer has no {}", metrics[0]));
    }
    Ok(round)
}

/// What makes a GPU another one. With MIG, and where several pods share a GPU, one GPU has several series of the same value.
fn gpu(sample: &Sample) -> String {
    let label = |name| sample.label(name).unwrap_or_default();
    match label("UUID") {
        "" => cut(&format!("{} gpu {}", label("Hostname"), label("gpu"))),
        uuid => cut(uuid),
    }
}

fn all_labels(sample: &Sample) -> String {
    let labels = sample
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    cut(&labels.collect::<Vec<_>>().join(" "))
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_NAME).collect()
}

/// The first of several series of a GPU counts.
fn take(figures: &mut DeviceFigures, metric: usize, value: f64) {
    let (place, value) = match metric {
        0 => (&mut figures.power_w, value),
        1 => (&mut figures.energy_j, value / 1e3),
        2 => (&mut figures.clock_mhz, value),
        3 => (&mut figures.temperature_c, value),
        4 => (&mut figures.memory_used_mib, value),
        5 => (&mut figures.utilization_percent, value),
        _ => {
            let reasons = ThrottleReasons::from_bits_truncate(value as u64);
            figures
                .throttle_reasons
                .get_or_insert_with(|| names(reasons));
            return;
        }
    };
    place.get_or_insert(value);
}

#[cfg(test)]
mod tests;
