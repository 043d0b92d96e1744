//! How far a model is loaded, for whoever watches from another thread.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes of weights on their way to a device. Several engines may share one.
#[derive(Debug, Default)]
pub struct LoadProgress {
    loaded: AtomicU64,
    total: AtomicU64,
}

impl LoadProgress {
    /// Bytes that are there, and bytes that there will be; both 0 before anything is known.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.loaded.load(Relaxed), self.total.load(Relaxed))
    }

    pub(crate) fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn more(&self, bytes: u64) {
        self.loaded.fetch_add(bytes, Relaxed);
    }
}
