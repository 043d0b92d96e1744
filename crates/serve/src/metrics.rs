//! Counters and histograms. Owns atomics only; written by every task.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

mod histogram;
mod text;

use histogram::Latencies;
pub(crate) use text::{Snapshot, text};

/// nginx's status for a client that went away before it had an answer.
const CLIENT_CLOSED_REQUEST: u16 = 499;

#[derive(Default)]
pub(crate) struct Metrics {
    /// By endpoint and status.
    requests: Mutex<Vec<(&'static str, u16, u64)>>,
    pub(crate) connections: AtomicI64,
    pub(crate) prompt_tokens: AtomicU64,
    pub(crate) generated_tokens: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) body_bytes: AtomicI64,
    pub(crate) bodies_waiting: AtomicI64,
    pub(crate) texts_waiting: AtomicI64,
    pub(crate) texts_encoding: AtomicI64,
    pub(crate) texts_encoded: AtomicU64,
    pub(crate) texts_refused: AtomicU64,
    pub(crate) latencies: Latencies,
}

/// Something that is there until this is dropped, counted by a gauge.
pub(crate) struct GaugeGuard {
    metrics: Arc<Metrics>,
    gauge: fn(&Metrics) -> &AtomicI64,
    n: i64,
}

impl GaugeGuard {
    pub(crate) fn new(metrics: &Arc<Metrics>, gauge: fn(&Metrics) -> &AtomicI64, n: usize) -> Self {
        let (metrics, n) = (Arc::clone(metrics), n as i64);
        gauge(&metrics).fetch_add(n, Relaxed);
        Self { metrics, gauge, n }
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        (self.gauge)(&self.metrics).fetch_sub(self.n, Relaxed);
    }
}

/// Counts a request when it is dropped: a request whose client went away ends nowhere else.
pub(crate) struct RequestCount<'a> {
    metrics: &'a Metrics,
    endpoint: &'static str,
    status: u16,
}

impl Metrics {
    /// Requests answered so far, by endpoint and status.
    fn requests(&self) -> Vec<(&'static str, u16, u64)> {
        let requests = self.requests.lock();
        requests.map(|all| all.clone()).unwrap_or_default()
    }

    /// Counts one request to an endpoint; those of names that clients make up must share one.
    pub(crate) fn count(&self, endpoint: &'static str) -> RequestCount<'_> {
        RequestCount {
            metrics: self,
            endpoint,
            status: CLIENT_CLOSED_REQUEST,
        }
    }
}

impl RequestCount<'_> {
    pub(crate) fn answered(&mut self, status: axum::http::StatusCode) {
        self.status = status.as_u16();
    }
}

impl Drop for RequestCount<'_> {
    fn drop(&mut self) {
        let Ok(mut requests) = self.metrics.requests.lock() else {
            return;
        };
        let known = requests
            .iter_mut()
            .find(|(e, s, _)| (*e, *s) == (self.endpoint, self.status));
        match known {
            Some((_, _, n)) => *n += 1,
            None => requests.push((self.endpoint, self.status, 1)),
        }
    }
}
