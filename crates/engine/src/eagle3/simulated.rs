//! Rounds that end as those of a head of a given acceptance length do, whatever was drafted: for measurements of speed.

use crate::weights::mixed;

/// Accepts each draft behind an accepted one with the same probability.
pub(super) struct SimulatedAcceptance {
    probability: f64,
    drawn: u32,
}

impl SimulatedAcceptance {
    /// For rounds of `steps` drafts that leave `acceptance_length` tokens on average, the model's own included.
    pub(super) fn new(acceptance_length: f64, steps: u32) -> Self {
        let length = |p: f64| 1.0 + (1..=steps).map(|i| p.powi(i as i32)).sum::<f64>();
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if length(middle) < acceptance_length {
                low = middle;
            } else {
                high = middle;
            }
        }
        Self {
            probability: high,
            drawn: 0,
        }
    }

    /// How many of so many drafts stand.
    pub(super) fn accepted(&mut self, drafted: usize) -> usize {
        let mut stands = |_: &usize| {
            self.drawn = self.drawn.wrapping_add(1);
            f64::from(mixed(self.drawn)) < self.probability * 4_294_967_296.0
        };
        (0..drafted).take_while(|i| stands(i)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::SimulatedAcceptance;

    #[test]
    fn rounds_have_the_length_that_was_given() {
        for (length, steps) in [
            (1.0, 3),
            (2.224, 3),
            (3.0, 3),
            (4.0, 3),
            (1.5, 1),
            (9.0, 16),
        ] {
            let mut simulated = SimulatedAcceptance::new(length, steps);
            let n = 100_000;
            let accepted: usize = (0..n).map(|_| simulated.accepted(steps as usize)).sum();
            let found = 1.0 + accepted as f64 / f64::from(n);
            // Rounds vary by less than `steps`: six standard deviations.
            let tolerance = 6.0 * f64::from(steps) / f64::from(n).sqrt();
            assert!((found - length).abs() < tolerance, "{length}: {found}");
        }
        assert_eq!(SimulatedAcceptance::new(3.0, 3).accepted(0), 0);
    }
}
