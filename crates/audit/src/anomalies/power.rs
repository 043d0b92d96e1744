//! What was measured of power, against the time that the log says the run took.

use std::path::Path;

use ossmark_logs::DETAIL;
use ossmark_telemetry::{Power, Window};

use crate::finding::{Finding, Findings, Level};
use crate::kind::Kind;
use crate::read;

/// Clocks and their readings, in seconds.
const CLOCKS: f64 = 0.5;

/// `power.json` of a run of ossmark's.
pub(super) fn of_run(dir: &Path, place: &str, found: &mut Findings) {
    let file = dir.join("power.json");
    if !file.is_file() {
        return found.skip(format!("{place}: power; there is no power.json"));
    }
    let power = match Power::read(&file) {
        Ok(power) => power,
        Err(error) => return found.skip(format!("{place}: power; {error}")),
    };
    let log = read::log(&dir.join(DETAIL));
    let window = log.as_ref().and_then(|log| Window::of_log(log).ok());
    let Some(window) = window else {
        return found.skip(format!(
            "{place}: the window of power; its log has no power_begin and power_end"
        ));
    };
    compare(&power, window, place, found);
}

fn compare(power: &Power, window: Window, place: &str, found: &mut Findings) {
    let (begin, end) = (
        power.begin_unix_ms as f64 / 1e3,
        power.end_unix_ms as f64 / 1e3,
    );
    let allowed = CLOCKS + power.clock_jumped_s;
    let off = (begin - window.begin_unix_s)
        .abs()
        .max((end - window.end_unix_s).abs());
    if off > allowed {
        found.add(Finding::new(
            Kind::PowerWindow,
            Level::Ask,
            place,
            format!("power was measured from {begin:.3} to {end:.3} s (since 1970)"),
            format!(
                "{:.3} to {:.3}, which the log has",
                window.begin_unix_s, window.end_unix_s
            ),
        ));
    }
    if let Some((energy, mean)) = power.energy_j.zip(power.mean_w)
        && (energy - mean * power.seconds).abs() > 0.01 * energy.max(1.0)
    {
        found.add(Finding::new(
            Kind::PowerWindow,
            Level::Ask,
            place,
            format!("{energy} J, and {mean} W for {} s", power.seconds),
            "the one is the product of the others",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_of_another_time_is_asked_about() {
        let power = |begin_unix_ms: i64, energy_j: f64| Power {
            version: 1,
            begin_unix_ms,
            end_unix_ms: begin_unix_ms + 600_000,
            seconds: 600.0,
            interval_s: 0.1,
            source: None,
            energy_j: Some(energy_j),
            mean_w: Some(500.0),
            max_w: None,
            tokens: None,
            tokens_per_joule: None,
            sources: Vec::new(),
            left_out: Vec::new(),
            clock_jumped_s: 0.0,
        };
        let window = Window {
            begin_unix_s: 1000.0,
            end_unix_s: 1600.0,
        };
        for (begin, energy, asks) in [
            (1_000_000, 300_000.0, 0),
            (1_000_100, 300_000.0, 0),
            (1_001_000, 300_000.0, 1),
            (999_000, 300_000.0, 1),
            (1_000_000, 200_000.0, 1),
        ] {
            let mut found = Findings::default();
            compare(&power(begin, energy), window, "run", &mut found);
            assert_eq!(found.asks(), asks, "{begin} {energy}");
        }
    }
}
