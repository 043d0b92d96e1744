//! RAPL: energy counters of processor packages and their memory, from Linux' powercap.
//!
//! Counted are the packages and, where it is a zone of its own, their memory (`dram`). Cores and graphics are parts of a
//! package, `psys` is the whole platform, and `intel-rapl-mmio` shows the same packages again; none of them is added. Since
//! Linux 5.10 only root may read the counters (CVE-2020-8694). AMD's packages are under the same names.
//! Source: Linux, Documentation/power/powercap/powercap.rst.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use ossmark_files::Escaped;
use ossmark_protocol::DeviceFigures;

use crate::reading::{DEVICE_W, Reading};
use crate::source::{Round, Source, Trouble};

/// More than a package draws for longer than a moment. A counter that could have gone round at this power since the last
/// reading may have done so more than once.
const PACKAGE_W: f64 = 2e3;
/// Zones of the largest machines.
const MAX_ZONES: usize = 256;

/// The zones below a folder.
pub(crate) struct Rapl {
    powercap: PathBuf,
    zones: Option<Vec<Zone>>,
    counters: HashMap<String, Counter>,
}

struct Zone {
    path: PathBuf,
    name: String,
    /// The counter's highest value.
    range_uj: u64,
}

/// A counter made one that does not go round.
struct Counter {
    at: Instant,
    raw_uj: u64,
    energy_j: f64,
}

impl Rapl {
    pub(crate) fn new(powercap: PathBuf) -> Self {
        Self {
            powercap,
            zones: None,
            counters: HashMap::new(),
        }
    }

    fn find(&self) -> Result<Vec<Zone>, Trouble> {
        let absent = |what: String| Trouble::Absent(what);
        let shown = Escaped::path(&self.powercap);
        let entries = std::fs::read_dir(&self.powercap)
            .map_err(|error| absent(format!("{shown}: {error}")))?;
        let mut folders: Vec<_> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with("intel-rapl:"))
            .take(MAX_ZONES)
            .collect();
        folders.sort();
        // "intel-rapl:0" before its parts "intel-rapl:0:1".
        let mut packages: HashMap<&str, String> = HashMap::new();
        let mut zones = Vec::new();
        for folder in &folders {
            let path = self.powercap.join(folder);
            let Ok(name) = text(&path.join("name")) else {
                continue;
            };
            let parent = folder.rsplit_once(':').map_or("", |(parent, _)| parent);
            let name = match packages.get(parent) {
                Some(package) if name == "dram" => format!("{package} dram"),
                Some(_) => continue,
                None if name.starts_with("package") => {
                    packages.insert(folder, name.clone());
                    name
                }
                None => continue,
            };
            // Unreadable here is told at the first reading.
            let range = number(&path.join("max_energy_range_uj"));
            zones.push(Zone {
                path: path.join("energy_uj"),
                name,
                range_uj: range.unwrap_or(u64::MAX),
            });
        }
        if zones.is_empty() {
            return Err(absent(format!(
                "{shown}: found no zone intel-rapl:N that is a package"
            )));
        }
        if let Err(error) = number(&zones[0].path)
            && error.kind() == ErrorKind::PermissionDenied
        {
            return Err(absent(format!(
                "{}: {error}; only root may read it, unless it is given to others (chmod a+r)",
                Escaped::path(&zones[0].path)
            )));
        }
        Ok(zones)
    }
}

impl Source for Rapl {
    fn read(&mut self) -> Result<Round, Trouble> {
        let zones = match self.zones.take() {
            Some(zones) => zones,
            None => self.find()?,
        };
        let mut round = Round::default();
        for zone in &zones {
            match number(&zone.path) {
                Err(error) => round
                    .faults
                    .push(format!("{}: {error}", Escaped::path(&zone.path))),
                Ok(raw_uj) if raw_uj > zone.range_uj => round.faults.push(format!(
                    "{}: found {raw_uj} uJ, expected at most its max_energy_range_uj, {}",
                    Escaped::path(&zone.path),
                    zone.range_uj
                )),
                Ok(raw_uj) => {
                    let now = Instant::now();
                    let before = self.counters.remove(&zone.name);
                    let (counter, power_w) = follow(before, raw_uj, zone.range_uj, now);
                    round.readings.push(Reading {
                        id: zone.name.clone(),
                        name: String::new(),
                        figures: DeviceFigures {
                            power_w,
                            energy_j: Some(counter.energy_j),
                            ..DeviceFigures::default()
                        },
                    });
                    self.counters.insert(zone.name.clone(), counter);
                }
            }
        }
        self.zones = Some(zones);
        Ok(round)
    }

    fn most_w(&self) -> f64 {
        DEVICE_W
    }
}

/// The counter's next state, and the power since the last one. One that may have gone round more than once begins again at
/// 0, which whoever follows it takes for a new one.
fn follow(
    before: Option<Counter>,
    raw_uj: u64,
    range_uj: u64,
    now: Instant,
) -> (Counter, Option<f64>) {
    let mut counter = Counter {
        at: now,
        raw_uj,
        energy_j: 0.0,
    };
    let Some(before) = before else {
        return (counter, None);
    };
    let passed = now.duration_since(before.at).as_secs_f64();
    if passed * PACKAGE_W >= range_uj as f64 / 1e6 {
        return (counter, None);
    }
    let gained_uj = match raw_uj.checked_sub(before.raw_uj) {
        Some(gained) => gained,
        // It counts from its highest value to 0.
        None => range_uj - before.raw_uj + raw_uj + 1,
    };
    let gained_j = gained_uj as f64 / 1e6;
    counter.energy_j = before.energy_j + gained_j;
    let power_w = (passed > 0.0).then(|| gained_j / passed);
    (counter, power_w)
}

fn number(path: &Path) -> io::Result<u64> {
    let text = text(path)?;
    let bad = || io::Error::new(ErrorKind::InvalidData, "found no whole number");
    text.parse().map_err(|_| bad())
}

/// A file of the system's: one short line.
fn text(path: &Path) -> io::Result<String> {
    const MOST: u64 = 64;
    let mut text = String::new();
    ossmark_files::open(path)?
        .take(MOST)
        .read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn zone(root: &Path, folder: &str, name: &str, energy: &str) {
        let path = root.join(folder);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("name"), format!("{name}\n")).unwrap();
        std::fs::write(path.join("max_energy_range_uj"), "262143328850\n").unwrap();
        std::fs::write(path.join("energy_uj"), energy).unwrap();
    }

    fn energies(round: &Round) -> Vec<(&str, f64)> {
        let readings = round.readings.iter();
        readings
            .map(|r| (r.id.as_str(), r.figures.energy_j.unwrap()))
            .collect()
    }

    #[test]
    fn packages_and_their_memory_are_counted_once_and_across_the_end_of_the_counter() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path();
        zone(root, "intel-rapl:0", "package-0", "262143328849\n");
        zone(root, "intel-rapl:0:0", "core", "5\n");
        zone(root, "intel-rapl:0:1", "dram", "1000000\n");
        zone(root, "intel-rapl:1", "psys", "5\n");
        zone(root, "intel-rapl-mmio:0", "package-0", "5\n");
        let mut rapl = Rapl::new(root.to_owned());
        let round = rapl.read().unwrap();
        assert_eq!(
            energies(&round),
            [("package-0", 0.0), ("package-0 dram", 0.0)]
        );
        assert_eq!(round.readings[0].figures.power_w, None);
        // Two steps to 0, and on.
        zone(root, "intel-rapl:0", "package-0", "3000000\n");
        zone(root, "intel-rapl:0:1", "dram", "3500000\n");
        let round = rapl.read().unwrap();
        assert_eq!(
            energies(&round),
            [("package-0", 3.000_002), ("package-0 dram", 2.5)]
        );
        assert!(round.readings[0].figures.power_w.unwrap() > 0.0);
    }

    #[test]
    fn nonsense_is_a_fault_of_its_zone_and_the_others_are_read() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path();
        zone(root, "intel-rapl:0", "package-0", "1\n");
        zone(root, "intel-rapl:1", "package-1", "1\n");
        let mut rapl = Rapl::new(root.to_owned());
        rapl.read().unwrap();
        for nonsense in ["-5\n", "NaN", "", "999999999999", &"9".repeat(1 << 20)] {
            zone(root, "intel-rapl:0", "package-0", nonsense);
            let round = rapl.read().unwrap();
            assert_eq!(
                (round.readings.len(), round.faults.len()),
                (1, 1),
                "{nonsense}"
            );
            assert!(
                round.faults[0].contains("intel-rapl:0/energy_uj: found"),
                "{:?}",
                round.faults
            );
        }
        // A pipe does not make it wait.
        let energy = root.join("intel-rapl:0/energy_uj");
        std::fs::remove_file(&energy).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &energy,
            rustix::fs::FileType::Fifo,
            mode,
            0,
        )
        .unwrap();
        let round = rapl.read().unwrap();
        assert!(
            round.faults[0].contains("a named pipe"),
            "{:?}",
            round.faults
        );
    }

    #[test]
    fn a_machine_without_it_says_so_once() {
        let tmp = tempfile::tempdir().unwrap();
        for path in [tmp.path().join("none"), tmp.path().to_owned()] {
            let trouble = Rapl::new(path).read().unwrap_err();
            assert!(matches!(trouble, Trouble::Absent(_)), "{trouble:?}");
        }
    }

    proptest! {
        /// However a counter goes round, what it gained is what was drawn.
        #[test]
        fn a_counter_that_goes_round_loses_nothing(
            range in 1_000_000_000_u64..300_000_000_000,
            start in 0.0..1.0,
            gains in prop::collection::vec(0_u64..999_999_999, 1..50),
        ) {
            let mut now = Instant::now();
            let mut raw = (range as f64 * start) as u64;
            let (mut counter, _) = follow(None, raw, range, now);
            for gain in &gains {
                raw = ((u128::from(raw) + u128::from(*gain)) % (u128::from(range) + 1)) as u64;
                now += Duration::from_millis(100);
                counter = follow(Some(counter), raw, range, now).0;
            }
            let drawn = gains.iter().sum::<u64>() as f64 / 1e6;
            prop_assert!((counter.energy_j - drawn).abs() < 1e-6 * drawn.max(1.0));
        }
    }

    #[test]
    fn after_a_silence_in_which_it_may_have_gone_round_twice_it_begins_anew() {
        let now = Instant::now();
        let range = 1_000_000_000;
        let first = |now| Counter {
            at: now,
            raw_uj: 5,
            energy_j: 70.0,
        };
        let later = now + Duration::from_millis(499);
        assert!(follow(Some(first(now)), 6, range, later).0.energy_j > 70.0);
        let later = now + Duration::from_millis(501);
        let (counter, power) = follow(Some(first(now)), 6, range, later);
        assert_eq!((counter.energy_j, power), (0.0, None));
    }
}
