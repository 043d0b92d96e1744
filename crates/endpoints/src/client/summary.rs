//! `result_summary.json`, as the client writes it.

use serde::Serialize;

use super::samples::{Finished, Samples, Seen};
use super::series::{Number, Series};

/// The figures of a run, in the client's order and under its names. Times in nanoseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Who made the run.
    pub version: String,
    /// Of the client's sources; a rehearsal has none.
    pub git_sha: Option<String>,
    test_started_at: u64,
    pub(super) n_samples_issued: u64,
    /// The client counts failed ones too.
    pub(super) n_samples_completed: u64,
    pub(super) n_samples_failed: u64,
    /// From the start of tracking to the last completion; null for none.
    pub(super) duration_ns: Option<i64>,
    pub(super) state: &'static str,
    complete: bool,
    pub(super) ttft: Series,
    pub(super) tpot: Series,
    pub(super) latency: Series,
    pub(super) output_sequence_lengths: Series,
    pub(super) input_sequence_lengths: Series,
    legacy_loadgen_window_duration_ns: Option<i64>,
    pub(super) qps: Option<f64>,
    pub(super) tps: Option<f64>,
    finish_reason_counts: Reasons,
    /// What the run was set to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_config: Option<serde_json::Value>,
    /// Says that a run was made by another client than MLCommons', where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
struct Reasons {
    stop: u64,
    length: u64,
    tool_calls: u64,
    content_filter: u64,
    function_call: u64,
    other: u64,
}

impl Summary {
    /// Of all events that were taken.
    ///
    /// # Errors
    /// Says which text cannot be encoded.
    pub fn of(samples: &mut Samples<'_>) -> Result<Self, String> {
        Ok(Self::from(&samples.finish()?))
    }

    pub(super) fn from(run: &Finished<'_>) -> Self {
        let seen: &Seen = run.seen;
        let output = Series::of_integers(&seen.output, false);
        let duration_ns = Some(run.duration_ns).filter(|ns| *ns > 0);
        let seconds = duration_ns.map(|ns| ns as f64 / 1e9);
        let per_second = |count: Option<f64>| Some(count? / seconds?);
        let tokens = output.total().map(Number::as_f64);
        let [
            stop,
            length,
            tool_calls,
            content_filter,
            function_call,
            other,
        ] = seen.reasons;
        Self {
            version: String::new(),
            git_sha: None,
            test_started_at: 0,
            n_samples_issued: seen.issued,
            n_samples_completed: seen.completed,
            n_samples_failed: seen.failed,
            duration_ns,
            state: if seen.has_ended {
                "complete"
            } else {
                "interrupted"
            },
            complete: seen.has_ended,
            ttft: Series::of_integers(&seen.ttft, true),
            tpot: Series::of_doubles(&seen.tpot),
            latency: Series::of_integers(&seen.latency, true),
            qps: per_second(Some(seen.completed as f64)),
            tps: per_second(tokens),
            output_sequence_lengths: output,
            input_sequence_lengths: Series::of_integers(&seen.input, false),
            legacy_loadgen_window_duration_ns: None,
            finish_reason_counts: Reasons {
                stop,
                length,
                tool_calls,
                content_filter,
                function_call,
                other,
            },
            run_config: None,
            rehearsal: None,
        }
    }

    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.n_samples_failed
    }

    /// Output tokens a second over all requests; `None` without a tokenizer or a duration.
    pub fn tokens_per_second(&self) -> Option<f64> {
        self.tps
    }

    /// Time for each token after the first fragment, of the percentile that the curve is of, in nanoseconds.
    pub fn tpot_p90_ns(&self) -> Option<f64> {
        self.tpot.percentile(90.0)
    }

    /// Time to the first fragment at the 90th percentile, in nanoseconds.
    pub fn ttft_p90_ns(&self) -> Option<f64> {
        self.ttft.percentile(90.0)
    }
}
