//! What people watch while a run goes on. The responder writes, the progress display reads. LoadGen's own figures, not
//! these, decide the verdict.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Counters that any thread may read.
#[derive(Default, Debug)]
pub(crate) struct Progress {
    pub(crate) issued: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) tokens: AtomicU64,
    /// Running 99th percentiles, refreshed now and then; 0 until there is one.
    pub(crate) p99_ttft_ns: AtomicU64,
    pub(crate) p99_tpot_ns: AtomicU64,
    /// Set once LoadGen has returned.
    pub(crate) done: AtomicBool,
}

/// Latencies of a run as the harness saw them, from when LoadGen's schedule wanted the sample issued, as LoadGen counts.
pub(crate) struct Latencies {
    ttft_ns: Histogram<u64>,
    tpot_ns: Histogram<u64>,
    e2e_ns: Histogram<u64>,
}

/// Percentiles in nanoseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) mean: f64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

/// Latencies beyond a day are counted as a day.
const LONGEST_NS: u64 = 86_400_000_000_000;

impl Default for Latencies {
    fn default() -> Self {
        // 2 digits are 1 % of the value: enough for a display, and the counts stay in the processor's cache. Fixed bounds:
        // a resizing histogram clamps what `saturating_record` is given to the range that it happens to have.
        let new = || {
            Histogram::new_with_bounds(1, LONGEST_NS, 2).expect("the bounds and 2 digits are legal")
        };
        Self {
            ttft_ns: new(),
            tpot_ns: new(),
            e2e_ns: new(),
        }
    }
}

impl Latencies {
    pub(crate) fn first_token(&mut self, after_ns: u64) {
        self.ttft_ns.saturating_record(after_ns);
    }

    /// `decode_ns` is the time from the first token to the last of `n_tokens`.
    pub(crate) fn complete(&mut self, total_ns: u64, decode_ns: u64, n_tokens: usize) {
        self.e2e_ns.saturating_record(total_ns);
        if n_tokens > 1 {
            self.tpot_ns
                .saturating_record(decode_ns / (n_tokens as u64 - 1));
        }
    }

    pub(crate) fn publish(&self, progress: &Progress) {
        progress
            .p99_ttft_ns
            .store(self.ttft_ns.value_at_quantile(0.99), Relaxed);
        progress
            .p99_tpot_ns
            .store(self.tpot_ns.value_at_quantile(0.99), Relaxed);
    }

    pub(crate) fn ttft(&self) -> Option<Percentiles> {
        percentiles(&self.ttft_ns)
    }

    pub(crate) fn tpot(&self) -> Option<Percentiles> {
        percentiles(&self.tpot_ns)
    }

    pub(crate) fn e2e(&self) -> Option<Percentiles> {
        percentiles(&self.e2e_ns)
    }
}

fn percentiles(h: &Histogram<u64>) -> Option<Percentiles> {
    (!h.is_empty()).then(|| Percentiles {
        mean: h.mean(),
        p50: h.value_at_quantile(0.5),
        p90: h.value_at_quantile(0.9),
        p99: h.value_at_quantile(0.99),
        p999: h.value_at_quantile(0.999),
        max: h.max(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_recorded_latencies() {
        let mut latencies = Latencies::default();
        for ms in 1..=100 {
            latencies.first_token(ms * 1_000_000);
            latencies.complete(ms * 10_000_000, ms * 9_000_000, 10);
        }
        let close = |found: u64, ms: f64| (found as f64 / 1e6 / ms - 1.0).abs() < 0.01;
        let (ttft, tpot, e2e) = (
            latencies.ttft().unwrap(),
            latencies.tpot().unwrap(),
            latencies.e2e().unwrap(),
        );
        assert!(close(ttft.p50, 50.0) && close(ttft.p99, 99.0), "{ttft:?}");
        assert!(close(tpot.p50, 50.0) && close(tpot.max, 100.0), "{tpot:?}");
        assert!(close(e2e.p90, 900.0), "{e2e:?}");
        let progress = Progress::default();
        latencies.publish(&progress);
        assert!(close(progress.p99_ttft_ns.load(Relaxed), 99.0));
    }
}
