//! The end of a run: logs, faults and rules made into a verdict, written and printed. May be called from the responder
//! thread, when a Server run has failed and cannot be waited for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use ossmark_files::{Directory, Escaped};
use ossmark_record::Writer;
use ossmark_rules::Mode;
use ossmark_telemetry::{Measured, Telemetry};
use serde_json::{Map, Value, json};

use super::ending::Ending;
use super::facts::run_facts;
use super::faults::{FaultKind, Faults};
use super::logs;
use super::metrics::{Latencies, Progress};
use super::plan::RunPlan;
use super::power;
use super::rules::deviations;
use super::trace::TraceWriter;
use super::verdict::{Evidence, Validity, Verdict, judge};
use crate::exit::Outcome;
use crate::output::{self, Output};
use crate::terminal::screen::text_columns;
use crate::terminal::text::counted;
use crate::terminal::text::shell_word;
use crate::terminal::{note, say};
use ossmark_protocol::{Generator, SpeculationStats};

/// Bytes kept back from the start, so that the verdict can still be written on a disk that has filled up.
const RESERVE_BYTES: usize = 64 << 10;
const RESERVE: &str = ".ossmark-reserve";
/// The record's file is made within this: seconds for the longest run, unless the disk hangs.
const RECORD_LIMIT: Duration = Duration::from_secs(60);

/// Everything that the verdict needs, whoever makes it.
pub(crate) struct Finish {
    pub(crate) plan: RunPlan,
    pub(crate) faults: Arc<Faults>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) output: PathBuf,
    /// While it is held, no other process writes there.
    pub(crate) _directory: Directory,
    pub(crate) json_file: Mutex<Option<Output>>,
    /// The record's writer, until the run ends.
    pub(crate) record: Mutex<Option<Writer>>,
    /// The trace's, likewise.
    pub(crate) trace: Mutex<Option<TraceWriter>>,
    /// What measures power, until the run ends.
    pub(crate) power: Mutex<Option<Telemetry>>,
    pub(crate) generator: Arc<dyn Generator>,
    /// Kernels that disagreed with the plain ones, where a GPU computes.
    pub(crate) left_out: Vec<String>,
    pub(crate) started: Instant,
}

/// Takes the reserve; see [`RESERVE_BYTES`].
pub(crate) fn reserve(output: &Path) -> Result<()> {
    output::write_whole(&output.join(RESERVE), &[0; RESERVE_BYTES])
}

impl Finish {
    /// Makes, writes and prints the verdict.
    pub(crate) fn finish(&self, latencies: Option<&Latencies>, interrupted: bool) -> Outcome {
        let is_accuracy = self.plan.mode == Mode::Accuracy;
        let _ = std::fs::remove_file(self.output.join(RESERVE));
        let measured = self.end_power();
        let record = self.end_record();
        let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trace) = trace.take() {
            trace.finish();
        }
        drop(trace);
        let mut logs = logs::read(&self.output, is_accuracy);
        let tokens = self.progress.tokens.load(Relaxed);
        let power = measured
            .and_then(|measured| power::finish(&measured, logs.window, tokens, &self.output));
        // LoadGen may still write the logs of a run that is left early.
        let files = match interrupted {
            true => Ok(BTreeMap::new()),
            false => logs::hashes(&self.output, record.as_ref(), power.is_some()),
        };
        let files = files.unwrap_or_else(|error| {
            logs.unreadable.push(format!("{error:#}"));
            BTreeMap::new()
        });
        let facts = run_facts(&self.plan, logs.entries.clone());
        let mut deviations = deviations(&facts);
        let remote = self.generator.describe();
        deviations.extend(remote.iter().flat_map(|remote| remote.differences.clone()));
        if let Some(drill) = self.plan.fault_injection {
            deviations.push(drill.deviation());
            self.faults.record(FaultKind::Drill, None, || {
                "a fault was injected (--drill): the result does not count".into()
            });
        }
        let mut metrics = self.metrics(&logs.entries, latencies);
        if let Some(record) = &record {
            let found =
                json!({ "rows": record.rows, "lost": record.lost, "reason": record.reason });
            metrics.insert("record".into(), found);
        }
        metrics.extend(power.map(|power| ("power".to_owned(), power)));
        let verdict = judge(Evidence {
            scenario: self.plan.scenario.name().into(),
            mode: self.plan.mode.name().into(),
            is_accuracy,
            logs,
            faults: self.faults.snapshot(),
            deviations,
            metrics,
            interrupted,
            files,
        });
        self.publish(&verdict)
    }

    /// Reads every source of power once more and ends it.
    fn end_power(&self) -> Option<Measured> {
        let mut power = self.power.lock().unwrap_or_else(PoisonError::into_inner);
        Some(power.take()?.stop())
    }

    /// Closes the record. What is wrong with it is said, and is no fault of the run.
    fn end_record(&self) -> Option<ossmark_record::Outcome> {
        let mut writer = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let record = writer.take()?.finish(RECORD_LIMIT);
        if let Some(reason) = &record.reason {
            note!(
                "ossmark: warning: the run's record is not whole: {}",
                Escaped(reason)
            );
        }
        if record.lost > 0 {
            note!(
                "ossmark: warning: the run's record lacks {}: its writer could not follow",
                counted(record.lost, "sample")
            );
        }
        Some(record)
    }

    fn publish(&self, verdict: &Verdict) -> Outcome {
        let remote = self.generator.describe();
        let ending = Ending {
            verdict,
            limits: self.plan.limits_ns(),
            left_out: &self.left_out,
            not_seen: remote.as_ref().map(|remote| &remote.not_seen_from_here[..]),
        };
        for line in ending.lines(text_columns()) {
            say!("{line}");
        }
        let mut outcome = match verdict.verdict {
            Validity::Valid => Outcome::Good,
            Validity::Invalid => Outcome::NotGood,
        };
        let own = self.output.join("verdict.json");
        let mut json_file = self
            .json_file
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let more = json_file
            .as_mut()
            .map(|file| (file.path().to_owned(), file.write_json(verdict)));
        let own = (own.clone(), output::write_json(&own, verdict));
        for (file, written) in std::iter::once(own).chain(more) {
            match written {
                Ok(()) => say!("written: {}", file.display()),
                // A verdict that nobody can read later is not a valid run.
                Err(error) => {
                    note!("ossmark: {error:#}");
                    outcome = Outcome::NotGood;
                }
            }
        }
        say!("next: {}", self.next(verdict));
        outcome
    }

    /// What people do with such a run.
    fn next(&self, verdict: &Verdict) -> String {
        let shown = |path: &Path| shell_word(path);
        let run = shown(&self.plan.output);
        let data = self.plan.dataset.as_ref().map(|data| shown(&data.path));
        match (&data, verdict.verdict) {
            (Some(data), Validity::Valid) if self.plan.mode == Mode::Accuracy => {
                let tokenizer = self.plan.engine.model().map_or("MODEL".into(), shown);
                format!("ossmark score {run} --dataset {data} --tokenizer {tokenizer}")
            }
            _ => format!("ossmark report {run} --output report.html"),
        }
    }

    fn metrics(
        &self,
        entries: &BTreeMap<String, Value>,
        latencies: Option<&Latencies>,
    ) -> Map<String, Value> {
        let mut metrics = Map::new();
        for (key, name) in LOADGEN_METRICS {
            if let Some(value) = entries.get(key) {
                metrics.insert(name.into(), value.clone());
            }
        }
        metrics.insert(
            "samples_issued".into(),
            json!(self.progress.issued.load(Relaxed)),
        );
        metrics.insert(
            "samples_completed".into(),
            json!(self.progress.completed.load(Relaxed)),
        );
        metrics.insert(
            "output_tokens".into(),
            json!(self.progress.tokens.load(Relaxed)),
        );
        metrics.insert(
            "elapsed_s".into(),
            json!(self.started.elapsed().as_secs_f64()),
        );
        let drafting = self.plan.engine.speculation().zip(self.plan.head.as_ref());
        if let Some((drafting, head)) = drafting {
            let mut all = SpeculationStats::default();
            for engine in self.generator.load() {
                all.add(&engine.stats.speculation);
            }
            let mut found = speculation(&all);
            found["tensors_sha256"] = json!(head.tensors_sha256);
            found["steps"] = json!(drafting.steps);
            metrics.insert("speculation".into(), found);
        }
        if let Some(remote) = self.generator.stats() {
            metrics.insert("remote".into(), json!(remote));
        }
        if let Some(latencies) = latencies {
            let harness = json!({
                "ttft_ns": latencies.ttft(),
                "tpot_ns": latencies.tpot(),
                "latency_ns": latencies.e2e(),
            });
            metrics.insert("harness".into(), harness);
        }
        metrics
    }
}

/// What drafting was worth: `acceptance_length` is tokens a round, the model's own included.
fn speculation(found: &SpeculationStats) -> Value {
    let most = found.most_drafted();
    let accepted: u64 = found.accepted.iter().sum();
    json!({
        "rounds": found.rounds,
        "drafted": found.drafted.iter().sum::<u64>(),
        "accepted": accepted,
        "acceptance_length": found.acceptance_length(),
        "drafted_by_position": found.drafted[..most],
        "accepted_by_position": found.accepted[..most],
        "steps_saved": accepted,
    })
}

/// LoadGen's figures that people look for, under names with units.
const LOADGEN_METRICS: [(&str, &str); 8] = [
    ("result_samples_per_second", "samples_per_second"),
    ("result_tokens_per_second", "tokens_per_second"),
    ("result_completed_samples_per_sec", "samples_per_second"),
    ("result_completed_tokens_per_second", "tokens_per_second"),
    (
        "result_first_token_99.00_percentile_latency_ns",
        "ttft_p99_ns",
    ),
    (
        "result_time_per_output_token_99.00_percentile_ns",
        "tpot_p99_ns",
    ),
    ("result_mean_latency_ns", "latency_mean_ns"),
    ("result_99.00_percentile_latency_ns", "latency_p99_ns"),
];
