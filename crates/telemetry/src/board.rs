//! What a source's thread writes and everybody else reads: figures, points, faults. Held for moments only, and never while a
//! source is asked.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ossmark_files::Brief;
use ossmark_protocol::DeviceFigures;

use crate::power::{Fault, SourceKind};
use crate::reading::Reading;
use crate::series::Series;

/// A rack of the largest kind, and more than anybody's exporter shows.
const MAX_DEVICES: usize = 1024;
/// Points of all devices of a source: 100 MB. Beyond, every second one goes, and every second reading from there on.
const MAX_POINTS: usize = 1 << 21;
/// Different faults of a source; further ones are only counted.
const MAX_FAULTS: usize = 16;
const MORE_FAULTS: &str = "further faults, each different";

/// A device and what it says now, for the line of a second.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    /// Its UUID, or what the source has in its place. From outside: to be escaped where it is shown.
    pub id: String,
    /// Its product name; from outside.
    pub name: String,
    /// Its figures.
    pub figures: DeviceFigures,
}

/// How everything stands now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latest {
    /// Power of the first source that knows it, in the order command, Prometheus, NVML, RAPL; never a sum over sources,
    /// which may measure the same watts.
    pub power_w: Option<f64>,
    /// Each GPU of NVML, or of Prometheus where NVML has none.
    pub gpus: Vec<Gpu>,
}

/// A device of a source with everything that it said.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) series: Series,
    latest: Option<(f64, DeviceFigures)>,
}

/// Everything known of a source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) devices: Vec<Device>,
    pub(crate) readings: u64,
    pub(crate) faults: Vec<Fault>,
    /// Why this machine has no such source.
    pub(crate) absent: Option<String>,
    /// Since when it is being asked and has not answered.
    pub(crate) asked_at: Option<f64>,
    /// One reading of so many is kept.
    pub(crate) every: u64,
    pub(crate) rounds: u64,
}

/// The notes of one source, shared.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) kind: SourceKind,
    pub(crate) name: String,
    notes: Mutex<Notes>,
}

impl Board {
    pub(crate) fn new(kind: SourceKind, name: String) -> Self {
        let notes = Mutex::new(Notes {
            every: 1,
            ..Notes::default()
        });
        Self { kind, name, notes }
    }

    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    /// Takes in what all devices said at a moment.
    pub(crate) fn add(&mut self, moment: f64, readings: Vec<Reading>, most_w: f64) {
        self.rounds += 1;
        let keep = self.rounds.is_multiple_of(self.every);
        for reading in readings {
            let (reading, doubt) = reading.believed(most_w);
            let Some(at) = self.place(&reading) else {
                let most = format!("more than {MAX_DEVICES} devices; the others are not looked at");
                self.fault(moment, most);
                continue;
            };
            let device = &mut self.devices[at];
            let DeviceFigures {
                power_w, energy_j, ..
            } = reading.figures;
            let mut doubts = doubt;
            if power_w.is_some() || energy_j.is_some() {
                self.readings += 1;
                if keep {
                    let counter = device.series.push(moment, power_w, energy_j, most_w);
                    doubts = doubts.or(counter);
                }
            }
            device.latest = Some((moment, reading.figures));
            let whose = match device.id.is_empty() {
                true => String::new(),
                false => format!("{}: ", Brief(&device.id)),
            };
            if let Some(doubt) = doubts {
                self.fault(moment, format!("{whose}{doubt}"));
            }
        }
        let points: usize = self.devices.iter().map(|d| d.series.points().len()).sum();
        if points > MAX_POINTS {
            self.every *= 2;
            for device in &mut self.devices {
                device.series.thin();
            }
        }
    }

    fn place(&mut self, reading: &Reading) -> Option<usize> {
        if let Some(at) = self.devices.iter().position(|d| d.id == reading.id) {
            return Some(at);
        }
        (self.devices.len() < MAX_DEVICES).then(|| {
            self.devices.push(Device {
                id: reading.id.clone(),
                name: reading.name.clone(),
                series: Series::default(),
                latest: None,
            });
            self.devices.len() - 1
        })
    }

    pub(crate) fn fault(&mut self, moment: f64, what: String) {
        let most = self.faults.len() >= MAX_FAULTS;
        let known = |faults: &[Fault], what: &str| faults.iter().position(|f| f.what == what);
        let at = match known(&self.faults, &what) {
            Some(at) => at,
            None => {
                let what = if most { MORE_FAULTS.to_owned() } else { what };
                known(&self.faults, &what).unwrap_or_else(|| {
                    self.faults.push(Fault {
                        what,
                        times: 0,
                        first_s: moment,
                        last_s: moment,
                    });
                    self.faults.len() - 1
                })
            }
        };
        let fault = &mut self.faults[at];
        fault.times += 1;
        fault.last_s = moment;
    }

    /// Power of all devices together, where each has said it since `oldest`.
    pub(crate) fn power_w(&self, oldest: f64) -> Option<f64> {
        let powers = self.devices.iter().map(|device| {
            let (moment, figures) = device.latest.as_ref()?;
            figures.power_w.filter(|_| *moment >= oldest)
        });
        powers.reduce(|sum, next| Some(sum? + next?)).flatten()
    }

    /// Its devices with what they have said since `oldest`.
    pub(crate) fn gpus(&self, oldest: f64) -> Vec<Gpu> {
        let gpus = self.devices.iter().map(|device| Gpu {
            id: device.id.clone(),
            name: device.name.clone(),
            figures: match &device.latest {
                Some((moment, figures)) if *moment >= oldest => figures.clone(),
                _ => DeviceFigures::default(),
            },
        });
        gpus.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watts(id: &str, power_w: f64) -> Reading {
        Reading {
            id: id.into(),
            figures: DeviceFigures {
                power_w: Some(power_w),
                ..DeviceFigures::default()
            },
            ..Reading::default()
        }
    }

    fn notes() -> Notes {
        Notes {
            every: 1,
            ..Notes::default()
        }
    }

    #[test]
    fn power_now_is_that_of_every_device_or_none() {
        let mut notes = notes();
        assert_eq!(notes.power_w(0.0), None);
        notes.add(1.0, vec![watts("a", 100.0), watts("b", 50.0)], 1e3);
        assert_eq!(notes.power_w(0.0), Some(150.0));
        notes.add(5.0, vec![watts("a", 100.0), watts("b", f64::NAN)], 1e3);
        assert_eq!(notes.power_w(0.0), None);
        assert_eq!(notes.faults[0].what, "b: found NaN W, expected 0 to 1000");
        notes.add(9.0, vec![watts("b", 60.0)], 1e3);
        assert_eq!(
            (notes.power_w(5.0), notes.power_w(5.1)),
            (Some(160.0), None)
        );
        assert_eq!(notes.gpus(5.1)[0].figures, DeviceFigures::default());
    }

    #[test]
    fn devices_points_and_faults_are_bounded_whatever_comes() {
        let mut notes = notes();
        let crowd = |from: usize| {
            let ids = from..from + MAX_DEVICES;
            ids.map(|i| watts(&i.to_string(), 1.0)).collect::<Vec<_>>()
        };
        notes.add(0.0, crowd(0), 1e3);
        notes.add(1.0, crowd(MAX_DEVICES), 1e3);
        assert_eq!(notes.devices.len(), MAX_DEVICES);
        assert_eq!(notes.faults[0].times, MAX_DEVICES as u64);
        for i in 0..100 {
            notes.fault(2.0, format!("fault {i}"));
        }
        assert_eq!(notes.faults.len(), MAX_FAULTS + 1);
        let last = notes.faults.last().unwrap();
        assert_eq!((last.what.as_str(), last.times), (MORE_FAULTS, 85));

        let mut notes = self::notes();
        for second in 0..=MAX_POINTS {
            notes.add(second as f64, vec![watts("a", 1.0)], 1e3);
        }
        let kept = notes.devices[0].series.points();
        assert_eq!((notes.every, kept.len()), (2, MAX_POINTS / 2 + 1));
        notes.add(MAX_POINTS as f64 + 1.0, vec![watts("a", 1.0)], 1e3);
        notes.add(MAX_POINTS as f64 + 2.0, vec![watts("a", 1.0)], 1e3);
        assert_eq!(notes.devices[0].series.points().len(), MAX_POINTS / 2 + 2);
    }
}
