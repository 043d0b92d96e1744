//! `metrics/final_snapshot.json`: counters and series as the client's aggregator last had them.

use serde::Serialize;
use serde::ser::Serializer;

use super::samples::Samples;
use super::series::{Block, GRID, Number, Percentiles, Series};
use super::summary::Summary;

/// The client's last snapshot of a run.
#[derive(Debug, Serialize)]
pub struct Snapshot {
    /// How many were made.
    counter: u64,
    /// By the run's clock.
    timestamp_ns: i64,
    state: &'static str,
    n_pending_tasks: u64,
    metrics: Vec<Metric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rehearsal: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Metric {
    Counter { name: &'static str, value: i64 },
    Series(OfSeries),
}

#[derive(Debug, Serialize)]
struct OfSeries {
    name: &'static str,
    count: usize,
    total: Number,
    min: Number,
    max: Number,
    sum_sq: Number,
    percentiles: Percentiles,
    #[serde(skip_serializing_if = "Option::is_none")]
    early_stopping_percentiles: Option<Percentiles>,
    #[serde(serialize_with = "pairs")]
    histogram: Vec<((f64, f64), usize)>,
}

fn pairs<S: Serializer>(all: &[((f64, f64), usize)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(all)
}

impl Snapshot {
    /// Of the events that `summary` is of.
    ///
    /// # Errors
    /// Says which text cannot be encoded.
    pub fn of(samples: &mut Samples<'_>, summary: &Summary) -> Result<Self, String> {
        let run = samples.finish()?;
        let seen = run.seen;
        let counter = |name, value: u64| Metric::Counter {
            name,
            value: i64::try_from(value).unwrap_or(i64::MAX),
        };
        let time = |name, value| Metric::Counter { name, value };
        let reasons = [
            "tracked_finish_reason_stop",
            "tracked_finish_reason_length",
            "tracked_finish_reason_tool_calls",
            "tracked_finish_reason_content_filter",
            "tracked_finish_reason_function_call",
            "tracked_finish_reason_other",
        ];
        let [issued, completed, failed] = seen.total;
        let mut metrics = vec![
            counter("total_samples_issued", issued),
            counter("total_samples_completed", completed),
            counter("total_samples_failed", failed),
            counter("tracked_samples_issued", seen.issued),
            counter("tracked_samples_completed", seen.completed),
            counter("tracked_samples_failed", seen.failed),
        ];
        let counts = reasons.into_iter().zip(seen.reasons);
        metrics.extend(counts.map(|(name, count)| counter(name, count)));
        metrics.extend([
            time("tracked_duration_ns", run.duration_ns),
            time("legacy_loadgen_window_duration_ns", seen.window_ns()),
            time("total_duration_ns", seen.total_ns),
        ]);
        let chunks = &Series::Empty {};
        let series = [
            ("sample_latency_ns", &summary.latency),
            ("isl", &summary.input_sequence_lengths),
            ("osl", &summary.output_sequence_lengths),
            ("ttft_ns", &summary.ttft),
            // Of later chunks there is no event (`stream_all_chunks: false`).
            ("chunk_delta_ns", chunks),
            ("tpot_ns", &summary.tpot),
        ];
        metrics.extend(series.map(|(name, series)| Metric::Series(OfSeries::of(name, series))));
        Ok(Self {
            counter: 1,
            timestamp_ns: seen.last_ns,
            state: summary.state,
            n_pending_tasks: 0,
            metrics,
            rehearsal: summary.rehearsal,
        })
    }
}

impl OfSeries {
    fn of(name: &'static str, series: &Series) -> Self {
        match series {
            Series::Seen(block) => Self::seen(name, block),
            Series::Empty {} => Self::nothing(name, None),
            Series::EmptyTail {
                early_stopping_percentiles,
            } => Self::nothing(name, Some(early_stopping_percentiles.clone())),
        }
    }

    fn seen(name: &'static str, block: &Block) -> Self {
        let buckets = block.histogram.buckets.iter().copied();
        Self {
            name,
            count: block.count,
            total: block.total,
            min: block.min,
            max: block.max,
            sum_sq: Number::Float(block.squares),
            percentiles: block.percentiles.clone(),
            early_stopping_percentiles: block.early_stopping_percentiles.clone(),
            histogram: buckets
                .zip(block.histogram.counts.iter().copied())
                .collect(),
        }
    }

    fn nothing(name: &'static str, early_stopping_percentiles: Option<Percentiles>) -> Self {
        let zero = if name == "tpot_ns" {
            Number::Float(0.0)
        } else {
            Number::Int(0)
        };
        Self {
            name,
            count: 0,
            total: zero,
            min: zero,
            max: zero,
            sum_sq: zero,
            percentiles: Percentiles(GRID.map(|(name, _)| (name, Some(0.0))).into()),
            early_stopping_percentiles,
            histogram: Vec::new(),
        }
    }
}
