//! A run in a few figures: what lists show, and what every page begins with.

use serde::Serialize;
use serde_json::Value;

use crate::limit::{Kind, Limit};
use crate::run::{Completeness, Run, number};
use crate::steady::{Part, steady};
use crate::windows::tokens_between;

/// The figures of a run, as `report --json` and `runs --json` write them. `null` where there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Its directory, as it was named.
    pub dir: String,
    /// When the test began, in LoadGen's words (UTC).
    pub date: Option<String>,
    /// `offline`, `server` or `interactive`.
    pub scenario: Option<String>,
    /// `performance`, `accuracy` or `find-peak`.
    pub mode: Option<String>,
    /// Who answered.
    pub engine: Option<String>,
    /// `valid` or `invalid`; none where ossmark gave no verdict.
    pub verdict: Option<String>,
    /// `official` or `test`.
    pub settings: Option<String>,
    /// LoadGen's own result; not a verdict.
    pub loadgen_result: Option<String>,
    /// LoadGen's tokens/s, the figure that is submitted.
    pub tokens_per_s: Option<f64>,
    /// Samples completed.
    pub samples: Option<u64>,
    /// Tokens of their answers.
    pub output_tokens: Option<u64>,
    /// Each limit of the scenario.
    pub limits: Vec<Limit>,
    /// The run without ramp and drain.
    pub steady: Option<Part>,
    /// Why there is no steady part.
    pub no_steady: Option<String>,
    /// Tokens/s of the steady part.
    pub steady_tokens_per_s: Option<f64>,
    /// Energy of the test.
    pub energy_j: Option<f64>,
    /// Whether the run came to its end and its record, where there is one, has a row of every sample.
    pub complete: bool,
}

/// Of the limits: what is limited, LoadGen's setting, the plan's, and LoadGen's 99th percentile.
const LIMITS: [(Kind, &str, &str, &str); 2] = [
    (
        Kind::Ttft,
        "server_ttft_latency",
        "ttft_latency_ns",
        "first_token_99.00_percentile_latency_ns",
    ),
    (
        Kind::Tpot,
        "server_tpot_latency",
        "tpot_latency_ns",
        "time_per_output_token_99.00_percentile_ns",
    ),
];

impl Summary {
    /// The figures of a run.
    pub fn of(run: &Run) -> Self {
        let verdict = run.verdict.as_ref();
        let metric = |name: &str| number(verdict?.metrics.get(name)?);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let result = || text(run.log.as_ref()?.results.get("validity")?);
        let (samples, output_tokens) = counts(run);
        let part = match run.rows.is_empty() {
            true => Err("there is no record".into()),
            false => steady(&run.rows, run.is_offline()),
        };
        Self {
            dir: run.dir.display().to_string(),
            date: run.log.as_ref().and_then(|log| log.date.clone()),
            scenario: run.scenario(),
            mode: run.mode(),
            engine: run.plan.get("engine").and_then(text),
            verdict: verdict.and_then(|v| v.verdict.clone()),
            settings: verdict.and_then(|v| v.settings.clone()),
            loadgen_result: result().or_else(|| verdict?.loadgen.result.clone()),
            tokens_per_s: run.tokens_per_s(),
            samples: samples.or_else(|| metric("samples_completed").map(|n| n as u64)),
            output_tokens: output_tokens.or_else(|| metric("output_tokens").map(|n| n as u64)),
            limits: limits(run),
            steady: part.as_ref().ok().copied(),
            steady_tokens_per_s: part.as_ref().ok().map(|part| {
                tokens_between(&run.rows, part.from_s, part.to_s) / (part.to_s - part.from_s)
            }),
            no_steady: part.err(),
            energy_j: run.energy_j,
            complete: is_complete(run),
        }
    }
}

/// Completed samples and their tokens; none where no row is known.
fn counts(run: &Run) -> (Option<u64>, Option<u64>) {
    if run.rows.is_empty() && run.record != Completeness::Complete {
        return (None, None);
    }
    let completed = || run.rows.iter().filter(|row| row.completed_ns.is_some());
    let tokens = completed().map(|row| u64::from(row.output_tokens)).sum();
    (Some(completed().count() as u64), Some(tokens))
}

/// LoadGen has latency limits in its Server scenario only, which Interactive is one of.
fn limits(run: &Run) -> Vec<Limit> {
    let is_accuracy = run.mode().as_deref() == Some("accuracy");
    if run.is_offline() || is_accuracy {
        return Vec::new();
    }
    let planned = run.plan.get("requested_settings");
    let limit = |(kind, logged, plan, p99): (Kind, &str, &str, &str)| {
        let planned = || planned?.get(plan);
        let limit_ns = run
            .setting(logged)
            .or_else(planned)
            .and_then(Value::as_i64)?;
        let p99 = run.result(&[p99]).map(|ns| ns as i64);
        (limit_ns > 0).then(|| Limit::of(kind, limit_ns, &run.rows, p99))
    };
    LIMITS.into_iter().filter_map(limit).collect()
}

fn is_complete(run: &Run) -> bool {
    let ended = match (&run.verdict, &run.log) {
        (Some(verdict), _) if verdict.interrupted => false,
        (_, Some(log)) => log.complete,
        // Of `infer`, which has no LoadGen.
        (_, None) => true,
    };
    ended && !matches!(run.record, Completeness::Incomplete(_)) && run.problems.is_empty()
}
