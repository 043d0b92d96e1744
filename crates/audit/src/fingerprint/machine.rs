//! A machine as it was found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A machine as it was found; what cannot be seen is none or empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// As Linux names it.
    pub cpu: Option<String>,
    /// Sockets.
    pub packages: Option<u64>,
    /// Of one package, not counting hyperthreads.
    pub cores: Option<u64>,
    /// The clock that its processor is named after, in MHz.
    pub cpu_base_mhz: Option<f64>,
    /// The highest clock, in MHz.
    pub cpu_mhz: Option<f64>,
    /// All memory that the system has.
    pub memory_bytes: Option<u64>,
    /// Network interfaces with a device behind them, one for each port of a card.
    pub network: Vec<NetworkCard>,
    /// Accelerators, as their driver lists them.
    pub accelerators: Vec<Accelerator>,
    /// The distribution's name for itself.
    pub os: Option<String>,
    /// The kernel.
    pub kernel: Option<String>,
    /// The engine that is here, with its version: `ossmark 0.1.0`.
    pub engine: Option<String>,
    /// The commit of the source.
    pub commit: Option<String>,
    /// Whether files of the source were changed since.
    pub is_changed: Option<bool>,
    /// SHA-256 of files, by what they are: `checkpoint/NAME`, `dataset/NAME`, `tokenizer`.
    pub hashes: BTreeMap<String, String>,
    /// What could not be looked at, a sentence each.
    pub not_seen: Vec<String>,
}

impl Machine {
    /// The file that has a hash: a data set may have any name.
    pub(super) fn file(&self, name: &str, hash: &str) -> Option<(&String, &String)> {
        let named = |key: &str| {
            key == name
                || key
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        let mut files = self.hashes.iter().filter(|(key, _)| named(key));
        let same = files
            .clone()
            .find(|(_, found)| found.eq_ignore_ascii_case(hash));
        same.or_else(|| files.next())
    }
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkCard {
    /// The interface's name.
    pub name: String,
    /// The slot of its card, which ports share.
    pub slot: Option<String>,
    /// Its driver.
    pub driver: Option<String>,
    /// Megabits a second, where a link is up.
    pub mbit_per_s: Option<u64>,
}

/// An accelerator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Accelerator {
    /// Product name.
    pub name: String,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
    /// Version of the driver.
    pub driver: Option<String>,
    /// The highest clock of its cores, in MHz.
    pub mhz: Option<f64>,
    /// The highest clock that it is set to, in MHz.
    pub set_mhz: Option<f64>,
    /// Whether its memory is checked (ECC).
    pub ecc: Option<bool>,
    /// In watts.
    pub power_limit_w: Option<f64>,
}
