//! The files beside the log: what the run was set to, which row each sample was, and the figures.

use std::fmt::Write as _;
use std::io::{self, Error, ErrorKind};
use std::path::Path;

use ossmark_files::{make_directories, write_whole};
use serde_json::{Map, Value, json};

use super::STAMP;
use crate::client::{CountTokens, EVENTS, Samples, Snapshot, Summary, read_log};
use crate::steady_state::{SteadyState, steady_state};

/// How a point is measured.
#[derive(Clone, Debug)]
pub struct Point {
    /// Requests under way; `None`: all at once.
    pub concurrency: Option<u64>,
    /// Rows of the data set.
    pub rows: u32,
    /// Over the data set.
    pub passes: u64,
    /// The order of the samples; the other two decide nothing at a fixed concurrency.
    pub dataloader_seed: u64,
    /// Written down.
    pub scheduler_seed: u64,
    /// Of token sampling.
    pub model_seed: u64,
    /// The model's name.
    pub model: String,
    /// Its tokenizer.
    pub tokenizer: String,
    /// The data set's file.
    pub dataset: String,
    /// Tokens of an answer at most.
    pub max_new_tokens: u32,
    /// 0 is greedy.
    pub temperature: f32,
    /// 1 keeps all.
    pub top_p: f32,
    /// -1 keeps all.
    pub top_k: i64,
    /// Servers, or the engine's name.
    pub endpoints: Vec<String>,
    /// How servers are asked, in the client's words: `openai`, `openai_completions` or `sglang`.
    pub api_type: &'static str,
    /// The program and its version.
    pub version: String,
    /// Requests before those that count.
    pub warmup: u64,
}

impl Point {
    /// Its directory.
    pub fn name(&self) -> String {
        format!("r{}", self.concurrency.unwrap_or_else(|| self.rows.into()))
    }

    /// Requests that count.
    pub fn requests(&self) -> u64 {
        self.passes * u64::from(self.rows)
    }

    /// `config.yaml` in the client's form.
    fn config(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let pattern = match self.concurrency {
            Some(concurrency) => {
                format!("type: concurrency\n    target_concurrency: {concurrency}")
            }
            None => "type: max_throughput".into(),
        };
        let mut endpoints = String::new();
        for endpoint in &self.endpoints {
            // Writing into memory cannot fail.
            let _ = write!(endpoints, "\n  - {}", quoted(endpoint));
        }
        format!(
            "# {STAMP}
name: {name}
version: '1.0'
type: online
rehearsal: {stamp}
model_params:
  name: {model}
  temperature: {temperature:?}
  top_k: {top_k}
  top_p: {top_p:?}
  max_new_tokens: {max_new_tokens}
  skip_special_tokens: false
  streaming: 'on'
  seed: {model_seed}
  tokenizer_name: {tokenizer}
datasets:
- name: performance
  type: performance
  path: {dataset}
settings:
  runtime:
    n_samples_to_issue: {requests}
    scheduler_random_seed: {scheduler}
    dataloader_random_seed: {dataloader}
  load_pattern:
    {pattern}
  warmup:
    enabled: {has_warmup}
    n_requests: {warmup}
    drain: true
    salt: false
endpoint_config:
  endpoints:{endpoints}
  api_type: {api_type}
",
            name = self.name(),
            stamp = quoted(STAMP),
            model = quoted(&self.model),
            temperature = self.temperature,
            top_k = self.top_k,
            top_p = self.top_p,
            max_new_tokens = self.max_new_tokens,
            model_seed = self.model_seed,
            tokenizer = quoted(&self.tokenizer),
            dataset = quoted(&self.dataset),
            requests = self.requests(),
            scheduler = self.scheduler_seed,
            dataloader = self.dataloader_seed,
            has_warmup = self.warmup > 0,
            warmup = self.warmup,
            api_type = self.api_type,
        )
    }

    fn run_config(&self) -> Value {
        let kind = self.concurrency.map_or("max_throughput", |_| "concurrency");
        json!({
            "load_pattern": {"type": kind, "target_qps": null, "target_concurrency": self.concurrency},
            "warmup": {"enabled": self.warmup > 0, "n_requests": self.warmup, "salt": false, "drain": true},
            "scheduler_random_seed": self.scheduler_seed,
            "dataloader_random_seed": self.dataloader_seed,
        })
    }
}

/// Writes what follows from the log in `dir`: `config.yaml`, `sample_idx_map.json` (`order`: uuids as they were issued, with
/// their rows), `report.txt`, `metrics/final_snapshot.json`, and `performance/result_summary.json`, this last, so that a point
/// is done once it is there.
///
/// # Errors
/// A log that is damaged, a text that cannot be encoded; those of reading and writing.
pub fn write(
    dir: &Path,
    point: &Point,
    order: &[(String, u32)],
    tokens: &dyn CountTokens,
) -> io::Result<(Summary, SteadyState)> {
    let damaged = |what: String| Error::new(ErrorKind::InvalidData, what);
    write_whole(&dir.join("config.yaml"), point.config().as_bytes())?;
    let rows: Map<String, Value> = order
        .iter()
        .map(|(uuid, row)| (uuid.clone(), Value::from(*row)))
        .collect();
    let map = json!({"rehearsal": STAMP, "performance": rows});
    write_whole(&dir.join("sample_idx_map.json"), map.to_string().as_bytes())?;
    let mut samples = Samples::new(Some(tokens));
    let read = read_log(&dir.join(EVENTS), |event, _| samples.take(&event));
    read.map_err(|damage| damaged(format!("{EVENTS}, line {}: {}", damage.line, damage.why)))?;
    let mut summary = Summary::of(&mut samples).map_err(damaged)?;
    summary.version.clone_from(&point.version);
    summary.run_config = Some(point.run_config());
    summary.rehearsal = Some(STAMP);
    let snapshot = Snapshot::of(&mut samples, &summary).map_err(damaged)?;
    write_whole(&dir.join("report.txt"), summary.report().as_bytes())?;
    let metrics = dir.join("metrics");
    make_directories(&metrics)?;
    let text = serde_json::to_string_pretty(&snapshot)?;
    write_whole(&metrics.join("final_snapshot.json"), text.as_bytes())?;
    let concurrency = point.concurrency.unwrap_or_else(|| point.rows.into());
    let steady_state = steady_state(samples.rows(), point.rows as usize, concurrency);
    let below = dir.join("performance");
    make_directories(&below)?;
    let text = serde_json::to_string_pretty(&summary)?;
    write_whole(&below.join("result_summary.json"), text.as_bytes())?;
    Ok((summary, steady_state))
}
