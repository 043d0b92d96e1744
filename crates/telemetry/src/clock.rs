//! Two clocks and how they lie to each other: readings have moments of the monotonic clock, LoadGen's window has dates. A
//! system's clock may be set while a run goes on, so their difference is noted whenever it changes.

use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Less than the resolution of what is measured, more than reading two clocks takes.
const SAME_S: f64 = 0.005;
/// A jump of this size is worth telling: the window may be off by it.
const JUMP_S: f64 = 0.1;
/// A clock that is slewed moves by [`SAME_S`] every 10 s: a week.
const MAX_ANCHORS: usize = 1 << 16;

/// The clock of a measurement. Moments are seconds since its start.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    anchors: Mutex<Anchors>,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let start = Instant::now();
        let anchors = Anchors::new(date());
        Self {
            start,
            anchors: Mutex::new(anchors),
        }
    }

    /// The moment now; takes note of the date.
    pub(crate) fn now(&self) -> f64 {
        let mut anchors = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
        let moment = self.start.elapsed().as_secs_f64();
        anchors.note(moment, date());
        moment
    }

    pub(crate) fn anchors(&self) -> Anchors {
        let anchors = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
        anchors.clone()
    }
}

/// Seconds since 1970.
fn date() -> f64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

/// Where the two clocks met, whenever they met elsewhere than expected.
#[derive(Clone, Debug)]
pub(crate) struct Anchors {
    met: Vec<Anchor>,
    /// The last moment at which they were looked at.
    until: f64,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    moment: f64,
    date: f64,
}

impl Anchors {
    /// At moment 0.
    fn new(date: f64) -> Self {
        let met = vec![Anchor { moment: 0.0, date }];
        Self { met, until: 0.0 }
    }

    fn note(&mut self, moment: f64, date: f64) {
        self.until = moment;
        let last = self.met.last().expect("made with one");
        let expected = last.date + (moment - last.moment);
        if (date - expected).abs() > SAME_S && self.met.len() < MAX_ANCHORS {
            self.met.push(Anchor { moment, date });
        }
    }

    /// The moment of a date: of several the last, and the nearest one where the date was skipped.
    pub(crate) fn moment(&self, date: f64) -> f64 {
        let ends = self.met.iter().skip(1).map(|next| next.moment);
        let parts = self.met.iter().zip(ends.chain([self.until]));
        let candidates = parts.map(|(from, end)| {
            let moment = from.moment + (date - from.date);
            // Before the start counts as the first part.
            let begin = if from.moment == 0.0 {
                f64::NEG_INFINITY
            } else {
                from.moment
            };
            let outside = (begin - moment).max(moment - end).max(0.0);
            (outside, moment)
        });
        let nearest = candidates.reduce(|best, next| if next.0 <= best.0 { next } else { best });
        nearest.expect("made with one").1
    }

    /// The jumps of the system's clock that were noticed, added up regardless of their direction.
    pub(crate) fn jumped_s(&self) -> f64 {
        let jumps = self.met.windows(2).map(|pair| {
            let moved = (pair[1].date - pair[0].date) - (pair[1].moment - pair[0].moment);
            moved.abs()
        });
        jumps.filter(|jump| *jump > JUMP_S).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchors(dates: &[(f64, f64)]) -> Anchors {
        let mut anchors = Anchors::new(1000.0);
        for (moment, date) in dates {
            anchors.note(*moment, *date);
        }
        anchors
    }

    #[test]
    fn dates_become_moments_whatever_the_clock_did() {
        let steady = anchors(&[(1.0, 1001.001), (2.0, 1002.0)]);
        assert_eq!(steady.met.len(), 1);
        assert_eq!((steady.moment(1001.5), steady.jumped_s()), (1.5, 0.0));
        assert_eq!(steady.moment(990.0), -10.0);

        // Set back by an hour at 100 s, and forward by 10 s at 200 s.
        let set = anchors(&[(100.0, -2500.0), (200.0, -2390.0), (300.0, -2290.0)]);
        assert_eq!(set.moment(1050.0), 50.0);
        assert_eq!(set.moment(-2450.0), 150.0);
        assert_eq!(set.moment(-2380.0), 210.0);
        assert_eq!(set.jumped_s(), 3610.0);
    }

    #[test]
    fn a_clock_that_is_only_slewed_has_not_jumped() {
        let slewed = anchors(&[(10.0, 1010.006), (20.0, 1020.012)]);
        assert_eq!(slewed.met.len(), 3);
        assert_eq!(slewed.jumped_s(), 0.0);
        assert!((slewed.moment(1020.512) - 20.5).abs() < 1e-6);
    }
}
