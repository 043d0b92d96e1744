//! What happened between here and the servers; counted by the HTTP threads, read by any.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

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
    /// Events of streams that were read.
    pub pieces: u64,
    /// What the threads used of the processor, of those that have ended.
    pub processor: Duration,
    /// Each endpoint, in the order of the settings.
    pub by_endpoint: Vec<EndpointStats>,
}

/// What happened between here and one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// Requests that were sent there. A retry that went elsewhere counts there.
    pub requests: u64,
    /// Of those, the ones under way there now.
    pub open: u64,
    /// Times that a request had to be sent again because it failed here.
    pub retries: u64,
    /// Requests that took too long here.
    pub timed_out: u64,
}

#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) held: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) pieces: AtomicU64,
    pub(crate) processor_ns: AtomicU64,
    pub(crate) by_endpoint: Vec<EndpointCounters>,
}

#[derive(Debug, Default)]
pub(crate) struct EndpointCounters {
    pub(crate) requests: AtomicU64,
    /// No longer under way here.
    pub(crate) left: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) timed_out: AtomicU64,
}

impl EndpointCounters {
    fn snapshot(&self) -> EndpointStats {
        // In this order a request that leaves meanwhile counts as open, and none as less than none.
        let left = self.left.load(Relaxed);
        let requests = self.requests.load(Relaxed);
        EndpointStats {
            requests,
            open: requests.saturating_sub(left),
            retries: self.retries.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
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
            pieces: AtomicU64::new(0),
            processor_ns: AtomicU64::new(0),
            by_endpoint: (0..endpoints)
                .map(|_| EndpointCounters::default())
                .collect(),
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
            pieces: self.pieces.load(Relaxed),
            processor: Duration::from_nanos(self.processor_ns.load(Relaxed)),
            by_endpoint: self
                .by_endpoint
                .iter()
                .map(EndpointCounters::snapshot)
                .collect(),
        }
    }
}
