//! What happens to requests while no server answers: with [`Settings::hold`] they wait for one to come back.
//!
//! The time is that of the outage, not of a request: it begins when contact is lost and ends with the next answer, or with an
//! attempt that was under way for long. When it is over everything ends at once, so that nobody's requests are burnt.
//!
//! [`Settings::hold`]: crate::Settings::hold

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The first pause; doubled each time up to the longest.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);
/// A server that is loading or broken refuses sooner than this.
const CONTACT: Duration = Duration::from_secs(30);

/// The time that servers have been gone, and the end of waiting for them; one for all threads.
pub(crate) struct Outage {
    limit: Duration,
    contact: Mutex<Contact>,
    given_up: Notify,
}

#[derive(Debug, Default)]
struct Contact {
    /// Since when nobody has been answered.
    lost: Option<Instant>,
    /// The last complaint, once it was too long.
    over: Option<String>,
}

/// What to do with a request whose attempt was lost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Wait this long, then send it anew.
    Wait(Duration),
    /// It was under way for long, again and again: it is this request that fails.
    GiveUp,
    /// No server came back in time.
    Over,
}

/// The lost attempts of one request.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    quick: u32,
    long: u32,
    since: Option<Instant>,
}

impl Outage {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            contact: Mutex::default(),
            given_up: Notify::new(),
        }
    }

    /// Somebody was answered.
    pub(crate) fn answered(&self) {
        self.contact().lost = None;
    }

    fn contact(&self) -> MutexGuard<'_, Contact> {
        // Nothing in here panics halfway.
        self.contact.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt that `began` then was lost `now`; `retries` is how often one request may be under way for long in vain.
    pub(crate) fn lost(
        &self,
        losses: &mut Losses,
        (began, now): (Instant, Instant),
        retries: u32,
        what: &str,
    ) -> Verdict {
        let mut contact = self.contact();
        if now - began >= CONTACT {
            losses.long += 1;
            losses.quick = 0;
            contact.lost = None;
            if losses.long > retries {
                return Verdict::GiveUp;
            }
        }
        let pause = SHORTEST * 2u32.saturating_pow(losses.quick.min(10));
        losses.quick += 1;
        let since = *contact.lost.get_or_insert(now);
        if now.saturating_duration_since(since) >= self.limit {
            contact.over = Some(what.to_owned());
            self.given_up.notify_one();
            return Verdict::Over;
        }
        // Others are answered, this one is not.
        if now - *losses.since.get_or_insert(now) >= self.limit {
            return Verdict::GiveUp;
        }
        Verdict::Wait(pause.min(LONGEST).min(self.limit))
    }

    /// Waits until no server came back in time; the last complaint.
    pub(crate) async fn over(&self) -> String {
        loop {
            self.given_up.notified().await;
            if let Some(what) = self.contact().over.take() {
                return what;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(600);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn pauses_grow_and_the_outage_ends_at_its_limit() {
        let outage = Outage::new(LIMIT);
        let (mut losses, begin) = (Losses::default(), Instant::now());
        let (mut waited, mut last) = (Duration::ZERO, Duration::ZERO);
        loop {
            let now = begin + waited;
            match outage.lost(&mut losses, (now, now), 2, "gone") {
                Verdict::Wait(pause) => {
                    assert!(pause >= last && pause <= LONGEST);
                    (last, waited) = (pause, waited + pause);
                }
                end => {
                    assert_eq!(end, Verdict::Over);
                    break;
                }
            }
        }
        assert!(waited >= LIMIT && waited < LIMIT + LONGEST, "{waited:?}");
        assert_eq!(last, LONGEST);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        assert_eq!(runtime.block_on(outage.over()), "gone");
    }

    #[test]
    fn an_answer_ends_the_outage_but_not_a_requests_own_limit() {
        let outage = Outage::new(LIMIT);
        let (mut poison, mut other) = (Losses::default(), Losses::default());
        let mut now = Instant::now();
        for _ in 0..6 {
            let verdict = outage.lost(&mut poison, (now, now), 2, "");
            assert!(matches!(verdict, Verdict::Wait(_)), "{verdict:?}");
            now += seconds(100);
            outage.answered();
        }
        assert_eq!(outage.lost(&mut poison, (now, now), 2, ""), Verdict::GiveUp);
        let verdict = outage.lost(&mut other, (now, now), 2, "");
        assert!(matches!(verdict, Verdict::Wait(_)), "{verdict:?}");
    }

    #[test]
    fn a_request_that_is_long_under_way_and_always_lost_is_given_up() {
        let outage = Outage::new(LIMIT);
        let (mut losses, mut now) = (Losses::default(), Instant::now());
        for expected in [true, true, false] {
            let began = now;
            now += seconds(60);
            let verdict = outage.lost(&mut losses, (began, now), 2, "");
            assert_eq!(matches!(verdict, Verdict::Wait(_)), expected, "{verdict:?}");
        }
    }
}
