//! The readings of one device over time.

/// What energy is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// Seconds since the start of the measurement.
    pub(crate) moment: f64,
    pub(crate) power_w: Option<f64>,
    pub(crate) counter: Option<Counter>,
}

/// An energy counter, and how often it has begun anew: only differences within one epoch mean something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counter {
    pub(crate) energy_j: f64,
    pub(crate) epoch: u32,
}

/// Points in order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    points: Vec<Point>,
    last: Option<(f64, Counter)>,
}

impl Series {
    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }

    /// Adds a reading. What is wrong with its counter, if something is.
    pub(crate) fn push(
        &mut self,
        moment: f64,
        power_w: Option<f64>,
        energy_j: Option<f64>,
        most_w: f64,
    ) -> Option<String> {
        let mut doubt = None;
        let counter = energy_j.map(|energy_j| {
            let mut epoch = 0;
            if let Some((before, last)) = self.last {
                let (gained, passed) = (energy_j - last.energy_j, moment - before);
                epoch = last.epoch;
                // A counter moves in steps, some of them a second long.
                if gained < 0.0 || gained > most_w * (passed + 1.0) {
                    epoch += 1;
                    doubt = Some(format!(
                        "the energy counter went from {} to {energy_j} J within {passed:.3} s",
                        last.energy_j
                    ));
                }
            }
            Counter { energy_j, epoch }
        });
        if let Some(counter) = counter {
            self.last = Some((moment, counter));
        }
        if power_w.is_some() || counter.is_some() {
            self.points.push(Point {
                moment,
                power_w,
                counter,
            });
        }
        doubt
    }

    /// Every second point goes.
    pub(crate) fn thin(&mut self) {
        let mut keep = false;
        self.points.retain(|_| {
            keep = !keep;
            keep
        });
    }
}
