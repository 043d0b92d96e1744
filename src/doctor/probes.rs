//! What makes a measurement on this machine slower, shorter or unlike the next one: looked at by `doctor` and, before a run, by
//! `preflight`. Each says what it found, whether that is good, and how to mend it. What a machine does not tell is no mistake:
//! containers and virtual machines have none of most of these files.
//!
//! Reads files below a root, which in tests is not this machine's. Changes nothing.

mod gpus;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub(crate) use gpus::gpus;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Probe {
    /// What was looked at.
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    /// What is there.
    pub(crate) found: String,
    /// How to mend it, where it is not good.
    pub(crate) mend: Option<String>,
}

impl Probe {
    /// `result` is what was found, good or not.
    pub(crate) fn new(
        name: &'static str,
        result: Result<String, String>,
        mend: impl Into<String>,
    ) -> Self {
        let (ok, found, mend) = match result {
            Ok(found) => (true, found, None),
            Err(found) => (false, found, Some(mend.into())),
        };
        Self {
            name,
            ok,
            found,
            mend,
        }
    }
}

/// The machine, or what stands for one.
pub(crate) struct Host {
    root: PathBuf,
}

/// What a run needs of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Needs {
    /// Files and connections that are open at once.
    pub(crate) descriptors: u64,
    /// Connections to one server from one address.
    pub(crate) connections: u64,
}

/// Files that every run has open: logs, the record, the checkpoint's shards.
const OWN_DESCRIPTORS: u64 = 256;
/// In use beyond this, pages that a run wants are on the disk.
const MOST_SWAPPED_KIB: u64 = 64 << 10;
/// Of each CPU, before the run.
const MOST_LOAD: f64 = 0.5;

impl Host {
    /// This machine.
    pub(crate) fn here() -> Self {
        Self::at(Path::new("/"))
    }

    /// What lies below a directory.
    pub(crate) fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    fn read(&self, path: &str) -> Option<String> {
        ossmark_files::read_to_string(&self.root.join(path)).ok()
    }

    fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Looks at all of it.
    pub(crate) fn probes(&self, needs: &Needs) -> Vec<Probe> {
        vec![
            Probe::new(
                "CPU governor",
                self.governor(),
                "have all CPUs run at full clock: cpupower frequency-set -g performance",
            ),
            Probe::new(
                "CPU quota",
                self.quota(),
                "give the container whole CPUs (cpusets) and no quota: it stops all threads for the rest of each period",
            ),
            Probe::new(
                "other work",
                self.load(),
                "end what else computes on this machine; it takes CPUs from the run",
            ),
            Probe::new(
                "swap",
                self.swap(),
                "free memory, then swapoff -a; what is swapped out comes back in the middle of the run",
            ),
            Probe::new(
                "clock source",
                self.clock_source(),
                "boot with tsc as clock source: LoadGen reads the clock for every sample, and this one is slow",
            ),
            Probe::new(
                "clock",
                self.synchronised(),
                "have the clock set by NTP before the run (timedatectl set-ntp true, or chronyd): a clock that is set in the middle of \
                 a run spoils its latencies",
            ),
            Probe::new(
                "open files",
                self.descriptors(needs),
                "raise the hard limit: ulimit -Hn, or LimitNOFILE of the service",
            ),
            Probe::new(
                "ports",
                self.ports(needs),
                "widen net.ipv4.ip_local_port_range, or connect from several addresses (`ossmark run --source-address`)",
            ),
        ]
    }

    fn governor(&self) -> Result<String, String> {
        let mut governors: Vec<String> = Vec::new();
        let cpus = std::fs::read_dir(self.root.join("sys/devices/system/cpu"));
        for entry in cpus.into_iter().flatten().flatten() {
            let file = entry.path().join("cpufreq/scaling_governor");
            if let Ok(governor) = ossmark_files::read_to_string(&file) {
                governors.push(governor.trim().to_owned());
            }
        }
        let slow: Vec<&String> = governors.iter().filter(|g| *g != "performance").collect();
        match slow.first() {
            None if governors.is_empty() => Ok("not told".into()),
            None => Ok(format!("performance on {} CPUs", governors.len())),
            Some(first) => Err(format!(
                "{first} on {} of {} CPUs, expected performance",
                slow.len(),
                governors.len()
            )),
        }
    }

    fn quota(&self) -> Result<String, String> {
        let Some(text) = self.read("sys/fs/cgroup/cpu.max") else {
            return Ok("not told".into());
        };
        let mut words = text.split_whitespace();
        let (quota, period) = (words.next().unwrap_or("max"), words.next());
        let number = |word: &str| word.parse::<f64>().ok().filter(|n| *n > 0.0);
        match (number(quota), period.and_then(number)) {
            (Some(quota), Some(period)) => Err(format!(
                "{:.2} CPUs, {quota:.0} of each {period:.0} microseconds; expected no quota",
                quota / period
            )),
            _ => Ok("none".into()),
        }
    }

    fn load(&self) -> Result<String, String> {
        let text = self.read("proc/loadavg").unwrap_or_default();
        let load = text
            .split_whitespace()
            .next()
            .and_then(|word| word.parse::<f64>().ok());
        let Some(load) = load else {
            return Ok("not told".into());
        };
        let stat = self.read("proc/stat").unwrap_or_default();
        let is_cpu = |line: &&str| {
            let number = line.strip_prefix("cpu");
            number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let cpus = stat.lines().filter(is_cpu).count().max(1);
        let text = format!("load {load:.2} of {cpus} CPUs in the last minute");
        match load <= MOST_LOAD * cpus as f64 {
            true => Ok(text),
            false => Err(text),
        }
    }

    fn swap(&self) -> Result<String, String> {
        let text = self.read("proc/meminfo").unwrap_or_default();
        let kib = |key: &str| {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            value.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        let (Some(total), Some(free)) = (kib("SwapTotal"), kib("SwapFree")) else {
            return Ok("not told".into());
        };
        let used = total.saturating_sub(free);
        match used <= MOST_SWAPPED_KIB {
            true => Ok(format!("{} MiB in use", used >> 10)),
            false => Err(format!("{} MiB in use, expected none", used >> 10)),
        }
    }

    fn clock_source(&self) -> Result<String, String> {
        const SLOW: [&str; 4] = ["hpet", "acpi_pm", "jiffies", "refined-jiffies"];
        let file = "sys/devices/system/clocksource/clocksource0/current_clocksource";
        match self.read(file) {
            None => Ok("not told".into()),
            Some(text) if SLOW.contains(&text.trim()) => {
                Err(format!("{}, expected tsc", text.trim()))
            }
            Some(text) => Ok(text.trim().to_owned()),
        }
    }

    fn synchronised(&self) -> Result<String, String> {
        if self.has("run/chrony/chronyd.pid") || self.has("run/chronyd.pid") {
            return Ok("chronyd sets it".into());
        }
        match (
            self.has("run/systemd/timesync"),
            self.has("run/systemd/timesync/synchronized"),
        ) {
            (_, true) => Ok("set by NTP".into()),
            (true, false) => Err("systemd-timesyncd runs and has not set it yet".into()),
            (false, false) => Ok("not told".into()),
        }
    }

    fn descriptors(&self, needs: &Needs) -> Result<String, String> {
        let needed = needs.descriptors.saturating_add(OWN_DESCRIPTORS);
        let text = self.read("proc/self/limits").unwrap_or_default();
        let mut lines = text.lines();
        let limits = lines.find_map(|line| line.strip_prefix("Max open files"));
        // The hard limit, after the soft one: a run raises its own as far as that.
        let limit = limits.and_then(|limits| limits.split_whitespace().nth(1));
        match limit.map(str::parse::<u64>) {
            None => Ok("not told".into()),
            Some(Err(_)) => Ok("any number".into()),
            Some(Ok(limit)) if limit >= needed => Ok(format!("{limit}, {needed} are needed")),
            Some(Ok(limit)) => Err(format!("{limit} at most, expected {needed}")),
        }
    }

    fn ports(&self, needs: &Needs) -> Result<String, String> {
        let text = self.read("proc/sys/net/ipv4/ip_local_port_range");
        let numbers: Vec<u64> = text
            .iter()
            .flat_map(|text| text.split_whitespace())
            .filter_map(|word| word.parse().ok())
            .collect();
        let [low, high] = numbers[..] else {
            return Ok("not told".into());
        };
        let ports = (high + 1).saturating_sub(low);
        match ports >= needs.connections {
            true if needs.connections == 0 => Ok(ports.to_string()),
            true => Ok(format!("{ports}, {} are needed", needs.connections)),
            false => Err(format!(
                "{ports} for {} connections to a server",
                needs.connections
            )),
        }
    }
}

#[cfg(test)]
mod tests;
