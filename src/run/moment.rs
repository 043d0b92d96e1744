//! Moments of a run as single numbers. The difference of two `Instant`s is some fifty instructions, and a sample has a dozen;
//! at hundreds of thousands of samples a second that is what a record costs.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Whatever was looked at first.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A moment on the clock of [`Instant`], in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(i64);

impl Moment {
    pub(crate) fn now() -> Self {
        // Three hundred years.
        Self(EPOCH.elapsed().as_nanos() as i64)
    }

    /// Of a clock that others read.
    pub(crate) fn of(instant: Instant) -> Self {
        let since = instant.saturating_duration_since(*EPOCH);
        Self(since.as_nanos() as i64)
    }

    /// So many nanoseconds before.
    pub(crate) fn before(self, ns: u64) -> Self {
        Self(self.0.saturating_sub_unsigned(ns))
    }

    /// So long after.
    #[cfg(test)]
    pub(super) fn after(self, time: Duration) -> Self {
        Self(self.0 + time.as_nanos() as i64)
    }

    /// Nanoseconds since an earlier one; 0 of a later one.
    pub(crate) fn ns_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// [`Moment::ns_since`], for comparing it with other times.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.ns_since(earlier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_go_on_as_the_clock_does() {
        let (then, clock) = (Moment::now(), Instant::now());
        std::thread::sleep(Duration::from_millis(20));
        let (now, passed) = (Moment::now(), clock.elapsed());
        // Something else may run between two looks.
        assert!(now.since(then) >= Duration::from_millis(20) && now > then);
        assert!(now.since(then) <= passed + Duration::from_secs(5));
        assert_eq!((then.ns_since(now), then.since(now)), (0, Duration::ZERO));
        assert_eq!(now.ns_since(now.before(7)), 7);
        // A sample may have been scheduled before anybody looked.
        assert_eq!(now.before(u64::MAX).ns_since(now), 0);
    }
}
