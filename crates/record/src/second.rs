//! A line of `timeline.jsonl`: a run at one second.

use ossmark_protocol::DeviceFigures as Gpu;
use serde::{Deserialize, Serialize};

/// How a run stood, a second at a time. `None` is null or absent in the file: not known, or there is none. Counts are from
/// the start of the test unless they say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// Seconds from the start of the test.
    pub t_s: f64,
    /// Samples issued.
    pub issued: Option<u64>,
    /// Samples completed.
    pub completed: Option<u64>,
    /// Samples open at this moment.
    pub open: Option<u64>,
    /// Tokens of the prompts that were issued.
    pub input_tokens: Option<u64>,
    /// Tokens that were generated.
    pub output_tokens: Option<u64>,
    /// Sequences in the engine's batch at this moment.
    pub running: Option<u64>,
    /// Sequences that wait for a place in it.
    pub waiting: Option<u64>,
    /// KV blocks that are held at this moment.
    pub kv_blocks_used: Option<u64>,
    /// KV blocks that there are.
    pub kv_blocks: Option<u64>,
    /// Preemptions.
    pub preemptions: Option<u64>,
    /// Engine steps.
    pub steps: Option<u64>,
    /// Mean time of the steps since the line before, in milliseconds.
    pub step_ms_mean: Option<f64>,
    /// Mean rows of the steps since the line before.
    pub step_rows_mean: Option<f64>,
    /// Median time to the first token of the samples completed, in milliseconds; 0.1% exact, as the next three.
    pub ttft_p50_ms: Option<f64>,
    /// Its 99th percentile.
    pub ttft_p99_ms: Option<f64>,
    /// Median time per output token of the samples completed, in milliseconds.
    pub tpot_p50_ms: Option<f64>,
    /// Its 99th percentile.
    pub tpot_p99_ms: Option<f64>,
    /// Samples completed whose TTFT was over the limit; exact.
    pub over_ttft: Option<u64>,
    /// Samples completed whose TPOT was over the limit; exact.
    pub over_tpot: Option<u64>,
    /// Rows that the record lost; absent while there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// The run's process since the line before; 100 is one core.
    pub cpu_percent: Option<f64>,
    /// Its resident memory.
    pub rss_mib: Option<f64>,
    /// Power of the machine or its devices, whatever is measured.
    pub power_w: Option<f64>,
    /// Each GPU.
    pub gpus: Option<Vec<Gpu>>,
    /// Each server, with `--engine http`.
    pub servers: Option<Vec<Server>>,
}

/// A server at one second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Host and port. No credentials: a record is handed to others.
    pub server: String,
    /// Requests open there at this moment.
    pub open: Option<u64>,
    /// Requests sent again.
    pub retries: Option<u64>,
    /// Requests that got no answer in time.
    pub timeouts: Option<u64>,
}
