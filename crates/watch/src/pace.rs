//! How fast a run goes, from the seconds of its timeline.

use std::collections::VecDeque;

use ossmark_record::Second;

/// Seconds that are kept: of a view, and of the longest look back.
const KEPT: usize = 600;
/// What "now" means for a rate of tokens.
const NOW_S: f64 = 10.0;
/// What the time that is left is judged by.
const LATELY_S: f64 = 60.0;

/// The latest seconds.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    seconds: VecDeque<Second>,
}

impl Pace {
    /// Takes a second; one that is no time, or does not follow, is left out.
    pub(crate) fn add(&mut self, second: Second) {
        let follows = self.last().is_none_or(|last| second.t_s > last.t_s);
        if !second.t_s.is_finite() || second.t_s < 0.0 || !follows {
            return;
        }
        if self.seconds.len() == KEPT {
            self.seconds.pop_front();
        }
        // Devices and servers are shown of the latest only, and there may be thousands of them.
        if let Some(last) = self.seconds.back_mut() {
            (last.gpus, last.servers) = (None, None);
        }
        self.seconds.push_back(second);
    }

    pub(crate) fn last(&self) -> Option<&Second> {
        self.seconds.back()
    }

    /// Tokens per second over the last ten.
    pub(crate) fn tokens_per_s(&self) -> Option<f64> {
        self.rate(NOW_S, |second| second.output_tokens)
    }

    /// Samples per second over the last minute.
    pub(crate) fn samples_per_s(&self) -> Option<f64> {
        self.rate(LATELY_S, |second| second.completed)
    }

    /// What a count grew by in a second, from the last that is at least `back_s` old (or the first) to the latest.
    fn rate(&self, back_s: f64, count: impl Fn(&Second) -> Option<u64>) -> Option<f64> {
        let last = self.last()?;
        let old = |second: &&Second| last.t_s - second.t_s >= back_s;
        let from = self.seconds.iter().rev().find(old);
        let from = from.or_else(|| self.seconds.front())?;
        let grown = count(last)?.checked_sub(count(from)?)?;
        let rate = grown as f64 / (last.t_s - from.t_s);
        rate.is_finite().then_some(rate)
    }

    /// Tokens of each of the last seconds, the latest last; as a rate where a line is missing.
    pub(crate) fn tokens_by_second(&self) -> Vec<f64> {
        let pairs = self.seconds.iter().zip(self.seconds.iter().skip(1));
        let rate = |(a, b): (&Second, &Second)| {
            let grown = b.output_tokens?.checked_sub(a.output_tokens?)?;
            Some(grown as f64 / (b.t_s - a.t_s))
        };
        pairs.map(|pair| rate(pair).unwrap_or(0.0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(t_s: f64, tokens: u64) -> Second {
        Second {
            t_s,
            output_tokens: Some(tokens),
            completed: Some(tokens / 10),
            ..Second::default()
        }
    }

    #[test]
    fn rates_are_of_the_latest_seconds() {
        let mut pace = Pace::default();
        assert_eq!((pace.tokens_per_s(), pace.samples_per_s()), (None, None));
        pace.add(second(0.0, 0));
        assert_eq!(pace.tokens_per_s(), None);
        // A hundred tokens a second, then two hundred.
        (1..=100).for_each(|t| pace.add(second(f64::from(t), u64::from(t as u32) * 100)));
        assert_eq!(pace.samples_per_s(), Some(10.0));
        (1..=20u32).for_each(|t| {
            pace.add(second(f64::from(100 + t), 10_000 + u64::from(t) * 200));
        });
        assert_eq!(pace.tokens_per_s(), Some(200.0));
        // Forty seconds at ten, twenty at twenty.
        assert!((pace.samples_per_s().unwrap() - 800.0 / 60.0).abs() < 1e-9);
        let by_second = pace.tokens_by_second();
        assert_eq!(
            (by_second.len(), by_second[0], by_second[119]),
            (120, 100.0, 200.0)
        );
    }

    #[test]
    fn what_is_no_time_is_left_out_and_memory_is_bounded() {
        let mut pace = Pace::default();
        pace.add(second(5.0, 10));
        for t in [5.0, 4.0, -1.0, f64::NAN, f64::INFINITY] {
            pace.add(second(t, 99));
        }
        assert_eq!(pace.seconds.len(), 1);
        (6..5000u32).for_each(|t| pace.add(second(f64::from(t), 10)));
        assert_eq!(pace.seconds.len(), KEPT);
        // A count that falls is no rate.
        pace.add(second(6000.0, 3));
        assert_eq!(pace.tokens_per_s(), None);
    }
}
