//! Times of a journal that several processes may have written, one after the other.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells how long a journal has been begun. A process that goes on with one goes on where the system's clock says, and never
/// before the last outcome.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    since: Duration,
    then: Instant,
    /// The journal says when it was begun.
    pub(crate) is_begun: bool,
}

impl Clock {
    /// Of a journal that begins now.
    pub(crate) fn new() -> Self {
        Self {
            since: Duration::ZERO,
            then: Instant::now(),
            is_begun: false,
        }
    }

    /// Of a journal that was begun at this time of the system's clock, and whose last outcome is so old.
    pub(crate) fn begun_at(unix: Duration, last_ns: i64) -> Self {
        let last = Duration::from_nanos(u64::try_from(last_ns).unwrap_or(0));
        Self {
            since: now_unix().saturating_sub(unix).max(last),
            then: Instant::now(),
            is_begun: true,
        }
    }

    /// Nanoseconds from the journal's beginning to a moment of this process.
    pub fn ns(&self, at: Instant) -> i64 {
        let since = self.since + at.saturating_duration_since(self.then);
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }
}

/// The system's clock.
pub(crate) fn now_unix() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}
