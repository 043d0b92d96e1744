//! Whether a performance run can still become VALID: samples over each limit against what LoadGen's early stopping allows at
//! the most samples that the run may have. Lives on the responder thread.

use std::time::{Duration, Instant, SystemTime};

use loadgen::most_over;

/// LoadGen reads its clock after us, counts from the scheduled time as we do, and reads the system's clock, which is slewed by
/// 0.05% at most: a sample that is over a limit by more than this is over it for LoadGen.
const MARGIN: Duration = Duration::from_millis(1);
const SLEW: f64 = 0.001;
/// The system's clock was set while the run went on: nothing is certain any more.
const JUMP: Duration = Duration::from_millis(50);

/// Counts samples over the limits.
pub(crate) struct Hopeless {
    ttft: Limit,
    tpot: Limit,
    most_samples: u64,
    /// How many samples may be over each limit; `None` where there are too few samples for any.
    allowed: Option<u64>,
    begun: (Instant, SystemTime),
}

struct Limit {
    name: &'static str,
    at: Duration,
    over: u64,
}

impl Hopeless {
    /// For a run with these limits, on time to first token and time per output token, on a percentile of so many samples.
    pub(super) fn new([ttft, tpot]: [Duration; 2], most_samples: u64, percentile: f64) -> Self {
        let limit = |name, at| Limit { name, at, over: 0 };
        Self {
            ttft: limit("time to first token", ttft),
            tpot: limit("time per output token", tpot),
            most_samples,
            allowed: most_over(most_samples, percentile),
            begun: (Instant::now(), SystemTime::now()),
        }
    }

    pub(super) fn first_token(&mut self, after: Duration) {
        self.ttft.count(after);
    }

    /// `decode` is the time from the first token to the last of `tokens`.
    pub(super) fn completed(&mut self, decode: Duration, tokens: usize) {
        // Of fewer than two LoadGen makes an error, and no time over any limit.
        if let Some(steps) = u32::try_from(tokens).ok().and_then(|n| n.checked_sub(1))
            && steps > 0
        {
            self.tpot.count(decode / steps);
        }
    }

    /// Why the run cannot become VALID any more, once that is so.
    pub(super) fn verdict(&self) -> Option<String> {
        let allowed = self.allowed.unwrap_or(0);
        let limit = [&self.ttft, &self.tpot]
            .into_iter()
            .find(|limit| limit.over > allowed)?;
        self.clocks_agree().then(|| {
            format!(
                "the run cannot become VALID any more (--stop-hopeless): {} samples are over the limit of {} ms on the {}, and of \
                 the {} samples that it may have at most early stopping allows {allowed}",
                limit.over,
                limit.at.as_secs_f64() * 1e3,
                limit.name,
                self.most_samples,
            )
        })
    }

    fn clocks_agree(&self) -> bool {
        let (instant, system) = self.begun;
        let passed = instant.elapsed();
        let Ok(by_system) = system.elapsed() else {
            return false;
        };
        passed.abs_diff(by_system) <= JUMP + passed.mul_f64(SLEW)
    }
}

impl Limit {
    fn count(&mut self, latency: Duration) {
        self.over += u64::from(latency > self.at + self.at.mul_f64(SLEW) + MARGIN);
    }
}

#[cfg(test)]
mod tests {
    use loadgen::samples_needed;
    use ossmark_report::early_stopping::allowed_over;
    use proptest::prelude::*;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    /// What LoadGen says in the end of a test of so many samples with so many over each limit (results.cc, EarlyStopping).
    fn is_met(samples: u64, over: [u64; 2]) -> bool {
        over.into_iter()
            .all(|over| samples_needed(over, 0.99) <= samples)
    }

    fn latency(over: bool) -> Duration {
        match over {
            true => LIMIT + Duration::from_millis(3),
            false => LIMIT,
        }
    }

    proptest! {
        #[test]
        fn a_run_is_ended_exactly_when_loadgen_can_call_it_valid_no_more(
            most in 1u64..9000, shares in [0.0..0.03f64, 0.0..0.03], seed: u64,
        ) {
            let mut hopeless = Hopeless::new([LIMIT; 2], most, 0.99);
            let (mut random, mut over, mut ended) = (seed | 1, [0, 0], None);
            let mut draw = |share: f64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                ((random >> 11) as f64 / (1u64 << 53) as f64) < share
            };
            for sample in 1..=most {
                let now = shares.map(&mut draw);
                over[0] += u64::from(now[0]);
                over[1] += u64::from(now[1]);
                hopeless.first_token(latency(now[0]));
                hopeless.completed(latency(now[1]) * 4, 5);
                if ended.is_none() && hopeless.verdict().is_some() {
                    ended = Some(sample);
                    // Were every sample that may still come within the limits.
                    prop_assert!(!is_met(most, over), "{over:?} of {most}");
                }
                // A run may end at any time; it is not ended where LoadGen may then call it valid.
                prop_assert!(ended.is_none() || !is_met(sample, over));
            }
            // With too few samples for any a run is hopeless from the start, which is not for this to say.
            if samples_needed(0, 0.99) <= most {
                prop_assert_eq!(ended.is_some(), !is_met(most, over));
            }
        }

        /// The page's margin, which is worked out anew, is LoadGen's own.
        #[test]
        fn the_reports_margin_is_loadgens(samples in 0u64..100_000) {
            prop_assert_eq!(most_over(samples, 0.99), allowed_over(samples, 0.99));
        }
    }

    #[test]
    fn what_is_not_surely_over_is_not_counted() {
        let mut limit = Limit {
            name: "",
            at: LIMIT,
            over: 0,
        };
        for ms in [999, 1000, 1001, 1002] {
            limit.count(Duration::from_millis(ms));
        }
        assert_eq!(limit.over, 0);
        limit.count(Duration::from_micros(1_002_001));
        assert_eq!(limit.over, 1);
        let mut hopeless = Hopeless::new([LIMIT; 2], 459, 0.99);
        // Too short for a time per token.
        hopeless.completed(LIMIT * 100, 1);
        hopeless.completed(LIMIT * 100, 0);
        assert_eq!(hopeless.verdict(), None);
        hopeless.completed(LIMIT * 100, 2);
        assert!(
            hopeless
                .verdict()
                .unwrap()
                .contains("time per output token")
        );
    }
}
