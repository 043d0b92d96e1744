//! What a source says about a device at a moment, and whether that can be believed.

use ossmark_protocol::DeviceFigures;

/// More than any accelerator or processor package draws; the largest of 2026 draw 2.5 kW.
pub(crate) const DEVICE_W: f64 = 20e3;
/// More than any machine room that answers as one machine.
pub(crate) const SYSTEM_W: f64 = 10e6;
/// 300 years at 1 MW.
const MOST_J: f64 = 1e16;

/// One device, now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// What makes the device another one than the others of its source; empty where there is only one.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) figures: DeviceFigures,
}

impl Reading {
    /// Takes out what cannot be true. Of power and energy that is said; the other figures are only shown.
    pub(crate) fn believed(mut self, most_w: f64) -> (Self, Option<String>) {
        let figures = &mut self.figures;
        for (figure, most) in [
            (&mut figures.clock_mhz, 1e5),
            (&mut figures.temperature_c, 1e3),
            (&mut figures.memory_used_mib, 1e9),
            (&mut figures.utilization_percent, 100.0),
        ] {
            *figure = figure.filter(|value| (0.0..=most).contains(value));
        }
        let mut doubt = None;
        for (figure, most, unit) in [
            (&mut figures.energy_j, MOST_J, "J"),
            (&mut figures.power_w, most_w, "W"),
        ] {
            if let Some(value) = figure.take_if(|value| !(0.0..=most).contains(value)) {
                doubt = Some(format!("found {value} {unit}, expected 0 to {most}"));
            }
        }
        (self, doubt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_true_is_taken_out_and_said() {
        for power in [f64::NAN, f64::INFINITY, -1.0, 20e3 + 1.0] {
            let figures = DeviceFigures {
                power_w: Some(power),
                energy_j: Some(5.0),
                temperature_c: Some(f64::NAN),
                utilization_percent: Some(101.0),
                ..DeviceFigures::default()
            };
            let reading = Reading {
                figures,
                ..Reading::default()
            };
            let (reading, doubt) = reading.believed(DEVICE_W);
            assert_eq!(
                reading.figures,
                DeviceFigures {
                    energy_j: Some(5.0),
                    ..DeviceFigures::default()
                }
            );
            assert!(doubt.unwrap().contains("expected 0 to 20000"), "{power}");
        }
    }
}
