//! What happened between here and the servers; counted by the HTTP thread, read by any.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts since the start. The request made to see that a server works is not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that were sent, each once however often it was retried.
    pub requests: u64,
    /// Requests that ended in `End::Failed`.
    pub failed: u64,
    /// Of those, the ones that took too long.
    pub timed_out: u64,
    /// Times that a request was sent again.
    pub retries: u64,
    /// Times that a request was held for a server to come back, and sent anew.
    pub held: u64,
    /// Connections opened.
    pub connections: u64,
    /// Requests by endpoint, in the order of the settings. A retry that went elsewhere counts there.
    pub by_endpoint: Vec<u64>,
}

#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) held: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) by_endpoint: Vec<AtomicU64>,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counters {
    pub(crate) fn new(endpoints: usize) -> Self {
        Self {
            requests: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            held: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            by_endpoint: (0..endpoints).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            requests: self.requests.load(Relaxed),
            failed: self.failed.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
            retries: self.retries.load(Relaxed),
            held: self.held.load(Relaxed),
            connections: self.connections.load(Relaxed),
            by_endpoint: self.by_endpoint.iter().map(|n| n.load(Relaxed)).collect(),
        }
    }
}
