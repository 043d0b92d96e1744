//! Energy over a window, from the readings of one device. Pure.
//!
//! Both ways go from reading to reading. By power: the trapezoid rule, which takes power as a straight line between two
//! readings; readings that are further apart than `gap` say nothing about the time between them. By counter: the difference,
//! exact however far apart two readings are, unless the window begins or ends between them. What is not covered is taken to
//! be like the mean of what is, so the caller decides how much must be covered.

use crate::series::Point;

/// What is known about a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Energy {
    /// Of the whole window.
    pub(crate) energy_j: f64,
    /// The share of the window that readings cover, 0 to 1.
    pub(crate) covered: f64,
}

/// By the trapezoid rule.
pub(crate) fn by_power(points: &[Point], begin: f64, end: f64, gap: f64) -> Option<Energy> {
    let readings = points.iter().filter_map(|p| Some((p.moment, p.power_w?)));
    let pieces = pairs(readings).map(|((t0, p0), (t1, p1))| {
        let (from, to) = (t0.max(begin), t1.min(end));
        let power = |t: f64| p0 + (p1 - p0) * (t - t0) / (t1 - t0);
        let known = to > from && t1 - t0 <= gap;
        known.then(|| ((power(from) + power(to)) / 2.0 * (to - from), to - from))
    });
    total(pieces.flatten(), begin, end)
}

/// By an energy counter.
pub(crate) fn by_counter(points: &[Point], begin: f64, end: f64, gap: f64) -> Option<Energy> {
    let readings = points.iter().filter_map(|p| Some((p.moment, p.counter?)));
    let pieces = pairs(readings).map(|((t0, c0), (t1, c1))| {
        let (from, to) = (t0.max(begin), t1.min(end));
        let inside = t0 >= begin && t1 <= end;
        let known = to > from && c0.epoch == c1.epoch && (inside || t1 - t0 <= gap);
        let share = (to - from) / (t1 - t0);
        known.then_some(((c1.energy_j - c0.energy_j) * share, to - from))
    });
    total(pieces.flatten(), begin, end)
}

/// The highest power read within the window.
pub(crate) fn max_w(points: &[Point], begin: f64, end: f64) -> Option<f64> {
    let inside = points.iter().filter(|p| (begin..=end).contains(&p.moment));
    inside.filter_map(|p| p.power_w).reduce(f64::max)
}

fn pairs<T: Copy>(readings: impl Iterator<Item = T>) -> impl Iterator<Item = (T, T)> {
    let mut before = None;
    readings.filter_map(move |next| Some((before.replace(next)?, next)))
}

/// Adds up joules and seconds.
fn total(pieces: impl Iterator<Item = (f64, f64)>, begin: f64, end: f64) -> Option<Energy> {
    let (joules, seconds) =
        pieces.fold((0.0, 0.0), |sum, piece| (sum.0 + piece.0, sum.1 + piece.1));
    let length = end - begin;
    (seconds > 0.0).then(|| Energy {
        energy_j: joules * (length / seconds),
        covered: (seconds / length).min(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Counter, Series};
    use proptest::prelude::*;

    const GAP: f64 = 10.0;

    fn powers(readings: &[(f64, f64)]) -> Vec<Point> {
        let point = |&(moment, power): &(f64, f64)| Point {
            moment,
            power_w: Some(power),
            counter: None,
        };
        readings.iter().map(point).collect()
    }

    fn counters(readings: &[(f64, f64)]) -> Vec<Point> {
        let point = |&(moment, energy_j): &(f64, f64)| Point {
            moment,
            power_w: None,
            counter: Some(Counter { energy_j, epoch: 0 }),
        };
        readings.iter().map(point).collect()
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
    }

    #[test]
    fn a_window_begins_and_ends_between_readings() {
        // 100 W rising by 10 W a second: the integral from 0.5 to 2.25.
        let rising: Vec<_> = (0..5)
            .map(|i| (f64::from(i), 100.0 + 10.0 * f64::from(i)))
            .collect();
        let energy = by_power(&powers(&rising), 0.5, 2.25, GAP).unwrap();
        assert!(near(energy.energy_j, 175.0 + 5.0 * (2.25 * 2.25 - 0.25)));
        assert_eq!(energy.covered, 1.0);
        assert_eq!(max_w(&powers(&rising), 0.5, 2.25), Some(120.0));

        let counted = counters(&[(0.0, 500.0), (1.0, 600.0), (3.0, 1000.0)]);
        let energy = by_counter(&counted, 0.5, 2.0, GAP).unwrap();
        assert!(near(energy.energy_j, 50.0 + 200.0));
    }

    #[test]
    fn a_long_silence_is_covered_by_a_counter_and_not_by_power() {
        let silent = [(0.0, 100.0), (10.0, 100.0), (90.0, 900.0), (100.0, 100.0)];
        let energy = by_power(&powers(&silent), 0.0, 100.0, GAP).unwrap();
        assert!(near(energy.covered, 0.2));
        let counted = counters(&[(0.0, 0.0), (10.0, 1e3), (90.0, 5e3), (100.0, 6e3)]);
        let energy = by_counter(&counted, 0.0, 100.0, GAP).unwrap();
        assert_eq!((energy.energy_j, energy.covered), (6e3, 1.0));
        // Nobody knows how the counter's 4 kJ lie about the window's edge.
        let energy = by_counter(&counted, 50.0, 100.0, GAP).unwrap();
        assert!(near(energy.covered, 0.2));
    }

    #[test]
    fn a_counter_that_begins_anew_or_leaps_is_not_trusted_across_that() {
        let mut series = Series::default();
        let mut doubts = 0;
        for (moment, energy) in [
            (0.0, 900.0),
            (1.0, 1e3),
            (2.0, 0.0),
            (3.0, 100.0),
            (4.0, 1e9),
        ] {
            doubts += usize::from(series.push(moment, None, Some(energy), 1e3).is_some());
        }
        let energy = by_counter(series.points(), 0.0, 4.0, GAP).unwrap();
        assert_eq!((energy.energy_j, energy.covered, doubts), (400.0, 0.5, 2));
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        assert_eq!(by_power(&[], 0.0, 1.0, GAP), None);
        assert_eq!(by_power(&powers(&[(0.5, 100.0)]), 0.0, 1.0, GAP), None);
        assert_eq!(
            by_power(&powers(&[(0.0, 1.0), (1.0, 1.0)]), 2.0, 3.0, GAP),
            None
        );
        assert_eq!(
            by_power(&powers(&[(0.0, 1.0), (1.0, 1.0)]), 0.5, 0.5, GAP),
            None
        );
        assert_eq!(max_w(&powers(&[(0.0, 1.0)]), 2.0, 3.0), None);
    }

    prop_compose! {
        /// Readings at random moments at most a gap apart, and a window within them.
        fn readings()(
            steps in prop::collection::vec((0.001..GAP, 0.0..1e4), 2..50),
            edges in (0.0..1.0, 0.0..1.0),
        ) -> (Vec<(f64, f64)>, f64, f64) {
            let mut moment = 0.0;
            let readings: Vec<_> = steps.into_iter().map(|(step, power)| { moment += step; (moment, power) }).collect();
            let first = readings[0].0;
            let at = |share: f64| first + share * (moment - first);
            let (a, b) = (at(edges.0), at(edges.1));
            (readings, a.min(b), a.max(b) + 1e-6)
        }
    }

    proptest! {
        #[test]
        fn energy_is_between_the_least_and_the_most_power((readings, begin, end) in readings()) {
            prop_assume!(begin < readings.last().unwrap().0);
            let points = powers(&readings);
            let energy = by_power(&points, begin, end, GAP).unwrap();
            let least = readings.iter().map(|r| r.1).fold(f64::INFINITY, f64::min);
            let most = readings.iter().map(|r| r.1).fold(0.0, f64::max);
            let mean = energy.energy_j / (end - begin);
            prop_assert!(least - 1e-6 <= mean && mean <= most + 1e-6, "{least} {mean} {most}");
            prop_assert!(energy.covered > 0.0 && energy.covered <= 1.0);
        }

        /// Two windows side by side have the energy of both, whatever lies between readings.
        #[test]
        fn windows_add_up((readings, begin, end) in readings(), middle in 0.001..0.999) {
            let middle = begin + middle * (end - begin);
            prop_assume!(end <= readings.last().unwrap().0);
            // The counter that these powers would drive, so that both ways must give the same.
            let mut counted = vec![(readings[0].0, 7.0)];
            for pair in readings.windows(2) {
                let energy = (pair[0].1 + pair[1].1) / 2.0 * (pair[1].0 - pair[0].0);
                counted.push((pair[1].0, counted.last().unwrap().1 + energy));
            }
            let (powers, counters) = (powers(&readings), counters(&counted));
            for points in [&powers, &counters] {
                let energy = |a, b| {
                    by_power(points, a, b, GAP).or(by_counter(points, a, b, GAP)).unwrap().energy_j
                };
                let (left, right, both) = (energy(begin, middle), energy(middle, end), energy(begin, end));
                prop_assert!((left + right - both).abs() <= 1e-6 * both.max(1.0), "{left} + {right} != {both}");
            }
            let (first, last) = (readings[0].0, readings.last().unwrap().0);
            let a = by_power(&powers, first, last, GAP).unwrap().energy_j;
            let b = by_counter(&counters, first, last, GAP).unwrap().energy_j;
            prop_assert!((a - b).abs() <= 1e-6 * a.max(1.0), "{a} {b}");
        }

        /// Constant power is energy over time, whatever was missed.
        #[test]
        fn constant_power_is_exact((readings, begin, end) in readings(), power in 0.0..1e4, gap in 0.01..GAP) {
            let points = powers(&readings.iter().map(|r| (r.0, power)).collect::<Vec<_>>());
            if let Some(energy) = by_power(&points, begin, end, gap) {
                prop_assert!((energy.energy_j - power * (end - begin)).abs() <= 1e-6 * power.max(1.0) * (end - begin).max(1.0));
            }
        }
    }
}
