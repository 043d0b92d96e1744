//! Samples by pass over the data set, in the order in which they were issued.

use super::trend::{lower, mean};

/// One tracked sample. Times in nanoseconds; what did not happen is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// By the client's clock.
    pub issued_ns: i64,
    /// To the first fragment.
    pub ttft_ns: Option<i64>,
    /// For each token after the first fragment.
    pub tpot_ns: Option<f64>,
    /// Tokens after the first fragment.
    pub rest_tokens: u64,
    /// To the end.
    pub latency_ns: Option<i64>,
}

/// A super-pass: as many samples as the data set has rows, and its percentiles; those of no value are `None`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass<'a> {
    samples: &'a [Sample],
    /// Median and 90th percentile.
    pub(super) tpot: Option<[f64; 2]>,
    /// Median and 90th percentile.
    pub(super) ttft: Option<[f64; 2]>,
    /// Over all samples; 0 for none.
    pub(super) mean_tpot: f64,
}

/// The first super-passes, at most `most`; the last may lack some samples.
pub(super) fn passes(samples: &[Sample], rows: usize, most: usize) -> Vec<Pass<'_>> {
    let chunks = samples.chunks(rows.max(1)).take(most);
    chunks.map(Pass::new).collect()
}

impl<'a> Pass<'a> {
    fn new(samples: &'a [Sample]) -> Self {
        let tpot: Vec<f64> = samples.iter().filter_map(|sample| sample.tpot_ns).collect();
        let ttft = samples.iter().filter_map(|sample| sample.ttft_ns);
        Self {
            samples,
            mean_tpot: if tpot.is_empty() { 0.0 } else { mean(&tpot) },
            tpot: percentiles(tpot),
            ttft: percentiles(ttft.map(|ns| ns as f64).collect()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    pub(super) fn latency(&self) -> impl Iterator<Item = f64> {
        let latency = self.samples.iter().filter_map(|sample| sample.latency_ns);
        latency.map(|ns| ns as f64)
    }

    pub(super) fn tokens(&self) -> u64 {
        self.samples.iter().map(|sample| sample.rest_tokens).sum()
    }

    fn first_issue(&self) -> i64 {
        self.samples.first().map_or(0, |sample| sample.issued_ns)
    }

    fn last_issue(&self) -> i64 {
        let issues = self.samples.iter().map(|sample| sample.issued_ns);
        issues.max().unwrap_or(0)
    }
}

fn percentiles(values: Vec<f64>) -> Option<[f64; 2]> {
    (!values.is_empty()).then(|| [lower(values.clone(), 0.5), lower(values, 0.9)])
}

/// Over all samples that have one; 0 for none.
pub(super) fn mean_tpot(passes: &[Pass<'_>]) -> f64 {
    let samples = passes.iter().flat_map(|pass| pass.samples);
    let all: Vec<f64> = samples.filter_map(|sample| sample.tpot_ns).collect();
    if all.is_empty() { 0.0 } else { mean(&all) }
}

/// Seconds from the first issue to the last.
pub(super) fn issue_span_s(passes: &[Pass<'_>]) -> f64 {
    let first = passes.iter().map(Pass::first_issue).min().unwrap_or(0);
    let last = passes.iter().map(Pass::last_issue).max().unwrap_or(0);
    last.saturating_sub(first) as f64 / 1e9
}
