//! From what the sources said to what is told about a window.

use std::time::Duration;

use ossmark_files::Brief;

use crate::board::{Device, Notes};
use crate::energy::{Energy, by_counter, by_power, max_w};
use crate::power::{DevicePower, Fault, LeftOut, Method, Power, SourceKind, SourcePower, VERSION};
use crate::{Measured, Window};

/// The share of a window that must be covered: a tenth that is like the mean of the rest is still a measurement.
const ENOUGH: f64 = 0.9;
/// Power readings further apart than this do not know what was between them; longer than every limit of a source.
const GAP: Duration = Duration::from_secs(10);
/// A counter and power readings of one device that are further apart than this are not both right.
const DISAGREE: f64 = 0.25;
/// Shorter windows: power is a mean over the last second on many devices, and both may be right.
const LONG_S: f64 = 60.0;

impl Measured {
    /// What was drawn in a window, and by how many tokens.
    pub fn power(&self, window: Window, tokens: Option<u64>) -> Power {
        let seconds = window.duration().as_secs_f64();
        let begin = self.anchors.moment(window.begin_unix_s);
        let span = Span {
            begin,
            end: begin + seconds,
            interval: self.interval,
        };
        let (mut sources, mut left_out) = (Vec::new(), Vec::new());
        for (kind, name, notes) in &self.sources {
            match self.source(*kind, name, notes, &span) {
                Ok(source) => sources.push(source),
                Err(reasons) => left_out.push(LeftOut {
                    name: name.clone(),
                    kind: *kind,
                    absent: notes.absent.is_some(),
                    readings: notes.readings,
                    reasons,
                    faults: notes.faults.clone(),
                }),
            }
        }
        // They are in the order of preference.
        let first = sources.first();
        let energy_j = first.map(|source| source.energy_j);
        let tokens_per_joule = tokens.zip(energy_j.filter(|energy| *energy > 0.0));
        let begin_unix_ms = (window.begin_unix_s * 1e3).round() as i64;
        Power {
            version: VERSION,
            begin_unix_ms,
            end_unix_ms: begin_unix_ms + (seconds * 1e3).round() as i64,
            seconds,
            interval_s: self.interval.as_secs_f64(),
            source: first.map(|source| source.name.clone()),
            energy_j,
            mean_w: first.map(|source| source.mean_w),
            max_w: first.map(|source| source.max_w),
            tokens,
            tokens_per_joule: tokens_per_joule.map(|(tokens, energy)| tokens as f64 / energy),
            sources,
            left_out,
            clock_jumped_s: self.anchors.jumped_s(),
        }
    }

    /// A source's figures; why there are none.
    fn source(
        &self,
        kind: SourceKind,
        name: &str,
        notes: &Notes,
        span: &Span,
    ) -> Result<SourcePower, Vec<String>> {
        if let Some(why) = &notes.absent {
            return Err(vec![why.clone()]);
        }
        let mut reasons = Vec::new();
        let mut faults = notes.faults.clone();
        if let Some(asked) = notes.asked_at {
            let silent = self.ended - asked;
            let what =
                format!("hangs: was asked {silent:.1} s before the end and has not answered");
            faults.push(once(what.clone(), asked));
            reasons.push(what);
        }
        if notes.devices.is_empty() && reasons.is_empty() {
            reasons.push("gave no reading".into());
        }
        let mut devices = Vec::new();
        for device in &notes.devices {
            match span.device(device, notes.every) {
                Ok((device, disagreement)) => {
                    faults.extend(disagreement.map(|what| once(what, self.ended)));
                    devices.push(device);
                }
                Err(why) => reasons.push(why),
            }
        }
        // A device that is missing would make the others' sum look like everything.
        if devices.is_empty() || devices.len() < notes.devices.len() {
            return Err(reasons);
        }
        let sum = |of: fn(&DevicePower) -> f64| devices.iter().map(of).sum();
        Ok(SourcePower {
            name: name.to_owned(),
            kind,
            readings: notes.readings,
            energy_j: sum(|d| d.energy_j),
            mean_w: sum(|d| d.mean_w),
            max_w: sum(|d| d.max_w),
            devices,
            faults,
        })
    }
}

/// The window in moments of the measurement.
struct Span {
    begin: f64,
    end: f64,
    interval: Duration,
}

impl Span {
    /// A device's figures, and what is odd about them; why there are none.
    fn device(&self, device: &Device, every: u64) -> Result<(DevicePower, Option<String>), String> {
        let points = device.series.points();
        let interval = self.interval.as_secs_f64() * every as f64;
        let gap = GAP.as_secs_f64().max(3.0 * interval);
        let (begin, end) = (self.begin, self.end);
        let counter = by_counter(points, begin, end, gap);
        let trapezoid = by_power(points, begin, end, gap);
        let enough = |energy: Option<Energy>| energy.filter(|energy| energy.covered >= ENOUGH);
        let mut disagreement = None;
        let (method, energy) = match (enough(counter), enough(trapezoid)) {
            (Some(counter), Some(trapezoid)) if self.disagree(counter, trapezoid) => {
                disagreement = Some(format!(
                    "{}its energy counter says {:.0} J and its power {:.0} J; the latter is used",
                    whose(device),
                    counter.energy_j,
                    trapezoid.energy_j
                ));
                (Method::Trapezoid, trapezoid)
            }
            (Some(counter), _) => (Method::Counter, counter),
            (None, Some(trapezoid)) => (Method::Trapezoid, trapezoid),
            (None, None) => {
                let best = [counter, trapezoid].into_iter().flatten();
                let covered = best.map(|energy| energy.covered).fold(0.0, f64::max);
                return Err(format!(
                    "{}its readings cover {:.1}% of the window, expected {}% or more",
                    whose(device),
                    100.0 * covered,
                    100.0 * ENOUGH
                ));
            }
        };
        let mean_w = energy.energy_j / (end - begin);
        let device = DevicePower {
            id: device.id.clone(),
            name: device.name.clone(),
            method,
            energy_j: energy.energy_j,
            mean_w,
            max_w: max_w(points, begin, end).unwrap_or(mean_w),
            covered: energy.covered,
            points: points.len() as u64,
            counter_j: enough(counter).map(|energy| energy.energy_j),
            trapezoid_j: enough(trapezoid).map(|energy| energy.energy_j),
        };
        Ok((device, disagreement))
    }

    fn disagree(&self, a: Energy, b: Energy) -> bool {
        let (a, b) = (a.energy_j, b.energy_j);
        self.end - self.begin >= LONG_S && (a - b).abs() > DISAGREE * a.max(b)
    }
}

fn whose(device: &Device) -> String {
    match device.id.is_empty() {
        true => String::new(),
        false => format!("{}: ", Brief(&device.id)),
    }
}

fn once(what: String, moment: f64) -> Fault {
    Fault {
        what,
        times: 1,
        first_s: moment,
        last_s: moment,
    }
}
