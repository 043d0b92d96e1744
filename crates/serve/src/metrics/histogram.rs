//! How long something took, by buckets.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds in milliseconds; MLPerf's limits for gpt-oss-120b (2 s and 3 s, 15 ms and 80 ms) are among them.
const FIRST_TOKEN_MS: &[f64] = &[
    1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2e3, 3e3, 1e4, 3e4, 12e4,
];
const PER_TOKEN_MS: &[f64] = &[
    0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 40.0, 80.0, 250.0, 1e3,
];

/// A bucket for each bound, and one for all that is longer.
pub(crate) struct Histogram {
    bounds_ms: &'static [f64],
    buckets: Box<[AtomicU64]>,
    count: AtomicU64,
    sum_ns: AtomicU64,
}

/// What MLPerf limits in an online scenario.
pub(crate) struct Latencies {
    /// From submission to the first token.
    pub(crate) first_token: Histogram,
    /// Per token after the first, the mean of a request.
    pub(crate) per_token: Histogram,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            first_token: Histogram::new(FIRST_TOKEN_MS),
            per_token: Histogram::new(PER_TOKEN_MS),
        }
    }
}

impl Histogram {
    fn new(bounds_ms: &'static [f64]) -> Self {
        Self {
            bounds_ms,
            buckets: bounds_ms.iter().map(|_| AtomicU64::new(0)).collect(),
            count: AtomicU64::new(0),
            sum_ns: AtomicU64::new(0),
        }
    }

    pub(crate) fn observe(&self, took: Duration) {
        let ms = took.as_secs_f64() * 1e3;
        if let Some(at) = self.bounds_ms.iter().position(|bound| ms <= *bound) {
            self.buckets[at].fetch_add(1, Relaxed);
        }
        self.count.fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(took.as_nanos() as u64, Relaxed);
    }

    pub(super) fn write(&self, name: &str, help: &str, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram")?;
        let mut below = 0;
        for (bucket, bound) in self.buckets.iter().zip(self.bounds_ms) {
            below += bucket.load(Relaxed);
            writeln!(out, "{name}_bucket{{le=\"{}\"}} {below}", bound / 1e3)?;
        }
        let count = self.count.load(Relaxed).max(below);
        writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}")?;
        writeln!(out, "{name}_sum {}", self.sum_ns.load(Relaxed) as f64 / 1e9)?;
        writeln!(out, "{name}_count {count}")
    }
}
