//! What stands behind a thread: something that can be asked for its devices' figures.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::reading::Reading;

/// Something that measures. Lives on a thread of its own, where it may wait; how long is its own business, since nobody
/// waits for that thread.
pub(crate) trait Source {
    /// Figures of all devices now.
    ///
    /// # Errors
    ///
    /// Why there are none.
    fn read(&mut self) -> Result<Round, Trouble>;

    /// Time to leave between two readings.
    fn pause(&self, interval: Duration) -> Duration {
        interval
    }

    /// Whether one more reading is wanted when the measurement ends, so that the window's end is covered.
    fn has_last_word(&self) -> bool {
        true
    }

    /// The most that one device can draw.
    fn most_w(&self) -> f64;
}

/// The answer of a source.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) readings: Vec<Reading>,
    /// What was wrong with some of the devices.
    pub(crate) faults: Vec<String>,
}

/// Why a source said nothing.
#[derive(Debug, PartialEq)]
pub(crate) enum Trouble {
    /// This machine has none; it is not asked again.
    Absent(String),
    /// It failed this time.
    Fault(String),
}

/// Tells threads that they are to end, and wakes them.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    come: Mutex<bool>,
    bell: Condvar,
}

impl Stop {
    pub(crate) fn ring(&self) {
        *self.come.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_all();
    }

    /// Sleeps for `time` or until the end; whether it is the end.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let come = self.come.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.bell.wait_timeout_while(come, time, |come| !*come);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
