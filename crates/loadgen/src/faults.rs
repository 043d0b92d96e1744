//! The process-wide record of what went wrong while a test was running, and the two facts about the test that every
//! ticket needs. One test per process makes one static enough. Any thread.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Things that happened during a test and mean that its result may not be trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Tickets dropped before their first token, untimed ones before their answer. LoadGen was given an empty answer for each.
    pub dropped_issued: u64,
    /// Tickets dropped between first token and completion. LoadGen was given an empty answer for each.
    pub dropped_streaming: u64,
    /// Sample index of the ticket that was dropped first.
    pub first_dropped: Option<usize>,
    /// Panics in [`crate::SystemUnderTest`] and [`crate::SampleLibrary`] methods, as "method: message"; the first 16.
    pub panics: Vec<String>,
    /// How many such panics there were.
    pub panic_count: u64,
}

impl Faults {
    /// True when nothing happened.
    pub fn is_clean(&self) -> bool {
        *self == Faults::default()
    }
}

/// What has gone wrong so far in this process's test; may be asked at any time from any thread.
pub fn faults() -> Faults {
    let panics = PANICS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let first = FIRST_DROPPED.load(Ordering::Relaxed);
    Faults {
        dropped_issued: DROPPED_ISSUED.load(Ordering::Relaxed),
        dropped_streaming: DROPPED_STREAMING.load(Ordering::Relaxed),
        first_dropped: (first != NONE).then_some(first),
        panics,
        panic_count: PANIC_COUNT.load(Ordering::Relaxed),
    }
}

const NONE: usize = usize::MAX;
const PANICS_KEPT: usize = 16;

static DROPPED_ISSUED: AtomicU64 = AtomicU64::new(0);
static DROPPED_STREAMING: AtomicU64 = AtomicU64::new(0);
static FIRST_DROPPED: AtomicUsize = AtomicUsize::new(NONE);
static PANIC_COUNT: AtomicU64 = AtomicU64::new(0);
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static NEEDS_FIRST_TOKEN: AtomicBool = AtomicBool::new(true);
static RAN: AtomicBool = AtomicBool::new(false);

pub(crate) fn dropped(streaming: bool, index: usize) {
    let counter = if streaming {
        &DROPPED_STREAMING
    } else {
        &DROPPED_ISSUED
    };
    counter.fetch_add(1, Ordering::Relaxed);
    let _ = FIRST_DROPPED.compare_exchange(NONE, index, Ordering::Relaxed, Ordering::Relaxed);
}

pub(crate) fn panicked(method: &str, payload: &(dyn Any + Send)) {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    PANIC_COUNT.fetch_add(1, Ordering::Relaxed);
    let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    if panics.len() < PANICS_KEPT {
        panics.push(format!("{method}: {text}"));
    }
}

/// Claims the process's only test; false when it has been claimed before.
pub(crate) fn claim_test(needs_first_token: bool) -> bool {
    if RAN.swap(true, Ordering::SeqCst) {
        return false;
    }
    NEEDS_FIRST_TOKEN.store(needs_first_token, Ordering::SeqCst);
    true
}

/// LoadGen wants first tokens in every scenario but Offline (StartTest: `SetNeedsFirstToken(scenario != Offline)`), where it
/// times tokens at all.
/// Set before the first ticket exists and never changed after.
pub(crate) fn needs_first_token() -> bool {
    NEEDS_FIRST_TOKEN.load(Ordering::Relaxed)
}
