//! What the rows of a record come to, as they come: nothing of a row is kept.

use hdrhistogram::Histogram;
use ossmark_record::{End, Row};

/// Counts of the rows so far.
#[derive(Debug)]
pub(crate) struct SoFar {
    pub(crate) rows: u64,
    pub(crate) completed: u64,
    pub(crate) tokens: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    /// Answers of fewer than two tokens, which LoadGen has no time per token of.
    pub(crate) short: u64,
    /// The last that happened, in seconds from the start of the test.
    pub(crate) last_s: f64,
    pub(crate) ttft: Latency,
    pub(crate) tpot: Latency,
}

/// A latency of the rows so far.
#[derive(Debug)]
pub(crate) struct Latency {
    limit_ns: Option<i64>,
    /// Samples over the limit; exact.
    pub(crate) over: u64,
    /// To 0.1%; below zero counts as zero.
    values: Histogram<u64>,
}

impl SoFar {
    pub(crate) fn new([ttft_ns, tpot_ns]: [Option<i64>; 2]) -> Self {
        Self {
            rows: 0,
            completed: 0,
            tokens: 0,
            failed: 0,
            cancelled: 0,
            short: 0,
            last_s: 0.0,
            ttft: Latency::new(ttft_ns),
            tpot: Latency::new(tpot_ns),
        }
    }

    pub(crate) fn row(&mut self, row: &Row) {
        self.rows += 1;
        match row.end {
            End::Failed => self.failed += 1,
            End::Cancelled => self.cancelled += 1,
            End::Stop | End::Length => {}
        }
        if let Some(completed) = row.completed_ns {
            self.completed += 1;
            self.tokens += u64::from(row.output_tokens);
            self.short += u64::from(row.output_tokens < 2);
            self.last_s = self.last_s.max(completed as f64 / 1e9);
        }
        self.ttft.add(row.ttft_ns());
        self.tpot.add(row.tpot_ns());
    }
}

impl Latency {
    fn new(limit_ns: Option<i64>) -> Self {
        Self {
            limit_ns,
            over: 0,
            values: Histogram::new(3).expect("three digits are a precision"),
        }
    }

    fn add(&mut self, ns: Option<i64>) {
        let Some(ns) = ns else { return };
        self.over += u64::from(self.limit_ns.is_some_and(|limit| ns > limit));
        // It grows to whatever comes.
        let _ = self.values.record(u64::try_from(ns).unwrap_or(0));
    }

    /// Samples that have one.
    pub(crate) fn samples(&self) -> u64 {
        self.values.len()
    }

    pub(crate) fn limit_ms(&self) -> Option<f64> {
        Some(self.limit_ns? as f64 / 1e6)
    }

    /// A percentile at the place that LoadGen takes, in milliseconds; `None` of nothing.
    pub(crate) fn at_ms(&self, p: f64) -> Option<f64> {
        let count = self.samples();
        let place = ((count as f64 * p) as u64).min(count.checked_sub(1)?);
        let quantile = (place as f64 + 0.5) / count as f64;
        Some(self.values.value_at_quantile(quantile) as f64 / 1e6)
    }
}
