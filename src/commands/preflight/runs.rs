//! What a run will be: its queries, how long it takes, what it writes, whether it can pass. Simulated where it is known how
//! long answers take; otherwise by its schedule and limits alone.

use std::num::NonZeroU32;

use anyhow::Result;
use loadgen::{Mode, Scenario, TestSettings};
use ossmark_predict::{Draw, Limits, Outcome, Query, forecast};
use ossmark_record::Row;
use ossmark_record::early_stopping::allowed_over;
use serde::Serialize;

use crate::run::issued::{self, issued};
use crate::run::rules::rules;
use crate::run::serving::Serving;

/// A run that is not there yet; the names are the JSON's.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RunForecast {
    pub(super) scenario: &'static str,
    pub(super) mode: &'static str,
    pub(super) queries: u64,
    pub(super) samples: u64,
    /// Seconds, from and to; null where nothing says so.
    pub(super) duration_s: Option<[f64; 2]>,
    pub(super) disk_bytes: u64,
    /// Keys and values of as many of the longest sequences as there are in a step; null where no engine here computes them.
    pub(super) kv_bytes: Option<u64>,
    /// Samples that are open at once, at most; null where it is not known how long answers take.
    pub(super) open: Option<u64>,
    /// Null where it is not known how long answers take, and of accuracy runs.
    pub(super) can_pass: Option<bool>,
    /// Of its being VALID.
    pub(super) probability: Option<f64>,
    /// By how much: in samples and milliseconds.
    pub(super) margin: String,
}

/// The repeats of a simulation: of runs so long that each takes a second fewer.
const REPEATS: u32 = 20;
const REPEATS_OF_LONG: u32 = 8;
const LONG: usize = 100_000;
/// A sample in LoadGen's detail log, the record's two files and the summary.
const BYTES_OF_SAMPLE: u64 = 256;
/// The plan, the verdict, the timeline of an hour.
const BYTES_OF_RUN: u64 = 4 << 20;
/// A token in the accuracy log is eight hexadecimal digits.
const BYTES_OF_TOKEN: f64 = 8.0;

/// What is known of the samples of a run.
pub(super) struct Samples<'a> {
    pub(super) rows: u64,
    /// Tokens of the prompts of the data set, or of the one that is at hand.
    pub(super) prompts: &'a [u32],
    /// Most tokens of an answer.
    pub(super) max_new_tokens: u32,
}

/// Foresees a run of these settings, with the names of its scenario and kind.
///
/// # Errors
///
/// Settings whose effect is not foreseen.
pub(super) fn foresee(
    (scenario, mode): (&'static str, &'static str),
    settings: &TestSettings,
    samples: &Samples<'_>,
    serving: Option<&Serving>,
) -> Result<RunForecast> {
    let queries = queries(settings, samples.rows)?;
    let count = queries.len() as u64;
    let is_server = settings.scenario == Scenario::Server;
    let is_accuracy = settings.mode == Mode::AccuracyOnly;
    let limits = limits(settings);
    let mut run = RunForecast {
        scenario,
        mode,
        queries: match is_server {
            true => count,
            false => count.div_ceil(settings.loaded_samples(samples.rows, samples.rows).max(1)),
        },
        samples: count,
        duration_s: None,
        disk_bytes: BYTES_OF_RUN + count * BYTES_OF_SAMPLE,
        kv_bytes: None,
        open: None,
        can_pass: None,
        probability: None,
        margin: String::new(),
    };
    if !is_accuracy && !is_server {
        run.queries = 1;
    }
    let answers_are_logged = is_accuracy || settings.accuracy_log_sampling_target > 0;
    let mut tokens = rules().accuracy.max_tokens_per_sample.value;
    if let Some(serving) = serving {
        let simulated = simulate(serving, &queries, samples, &limits);
        tokens = simulated.tokens;
        run.duration_s = Some(simulated.duration_s);
        run.open = Some(simulated.open);
        if !is_accuracy {
            let least_s = settings.min_duration_ms as f64 / 1e3;
            let (probability, margin) = match is_server {
                true => (simulated.probability, simulated.margin),
                // All samples are due at once: what counts is that they take long enough.
                false => (
                    f64::from(u8::from(simulated.duration_s[0] >= least_s)),
                    format!(
                        "{:.1} s, at least {least_s:.1} s are asked for",
                        simulated.duration_s[0]
                    ),
                ),
            };
            run.probability = Some(probability);
            run.can_pass = Some(probability > 0.5);
            run.margin = margin;
        }
    } else if is_server {
        let last_s = queries
            .last()
            .map_or(0.0, |query| query.due_ns as f64 / 1e9);
        // A valid run's samples are within the limits.
        let sample_ns = settings.server_ttft_latency as f64
            + settings.server_tpot_latency as f64 * f64::from(samples.max_new_tokens);
        run.duration_s = Some([last_s, last_s + sample_ns / 1e9]);
    }
    if answers_are_logged {
        run.disk_bytes += (tokens * BYTES_OF_TOKEN * count as f64) as u64;
    }
    let percentile = settings.server_target_latency_percentile;
    if is_server && !is_accuracy && allowed_over(count, percentile).is_none() {
        run.can_pass = Some(false);
        run.probability = Some(0.0);
        run.margin = format!("{count} samples are too few for LoadGen's early stopping");
    }
    Ok(run)
}

/// Samples in their order, with when they are due.
fn queries(settings: &TestSettings, rows: u64) -> Result<Vec<Query>> {
    if settings.mode != Mode::AccuracyOnly {
        return Ok(issued::queries(&issued(settings, rows)?, settings.scenario));
    }
    // Each once; LoadGen draws the times of Server, which in the mean come at its rate.
    let gap_ns = match settings.scenario == Scenario::Server {
        true => 1e9 / settings.target_qps().max(1e-3),
        false => 0.0,
    };
    let query = |n: u64| Query {
        due_ns: (n as f64 * gap_ns) as u64,
        sample: u32::try_from(n).unwrap_or(u32::MAX),
    };
    Ok((0..settings.expected_samples(rows, rows))
        .map(query)
        .collect())
}

/// Offline has none.
fn limits(settings: &TestSettings) -> Limits {
    let percentile = settings.server_target_latency_percentile;
    let are_timed = settings.scenario == Scenario::Server && settings.use_token_latencies;
    let (ttft, tpot) = match are_timed {
        true => (settings.server_ttft_latency, settings.server_tpot_latency),
        false => (u64::MAX, u64::MAX),
    };
    let ns = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
    Limits {
        ttft_ns: ns(ttft),
        tpot_ns: ns(tpot),
        percentile,
        deciding: percentile,
    }
}

struct Simulated {
    duration_s: [f64; 2],
    probability: f64,
    /// Tokens of an answer, in the mean.
    tokens: f64,
    open: u64,
    margin: String,
}

/// How many samples are under way at once, at most.
fn open(rows: &[Row]) -> u64 {
    let issued = |row: &Row| row.issued_ns.map(|at| (at, 1));
    let ended = |row: &Row| row.completed_ns.map(|at| (at, -1));
    let mut changes: Vec<(i64, i64)> = rows.iter().filter_map(issued).collect();
    changes.extend(rows.iter().filter_map(ended));
    changes.sort_unstable();
    let mut now = 0;
    let most = changes.iter().map(|(_, change)| {
        now += change;
        now
    });
    most.max()
        .and_then(|most| u64::try_from(most).ok())
        .unwrap_or(0)
}

fn simulate(
    serving: &Serving,
    queries: &[Query],
    samples: &Samples<'_>,
    limits: &Limits,
) -> Simulated {
    let repeats = match serving {
        // The same each time.
        Serving::Script { .. } => 1,
        Serving::Steps(_) if queries.len() > LONG => REPEATS_OF_LONG,
        Serving::Steps(_) => REPEATS,
    };
    let repeats = NonZeroU32::new(repeats).unwrap_or(NonZeroU32::MIN);
    let outcome =
        |serving: &Serving| Outcome::of(&serving.rows(queries, samples.prompts, 1.0), limits);
    let found = forecast(repeats, 1, |draw: &mut Draw| match serving {
        Serving::Script { .. } => outcome(serving),
        Serving::Steps(calibration) => {
            let mut drawn = calibration.clone();
            drawn.answers = draw.resample(&calibration.answers);
            outcome(&Serving::Steps(drawn))
        }
    });
    let rows = serving.rows(queries, samples.prompts, 1.0);
    let usual = Outcome::of(&rows, limits);
    let over = usual.over.iter().copied().max().unwrap_or(0);
    let ms = |ns: i64| ns as f64 / 1e6;
    Simulated {
        duration_s: found.ended_ns.map(|ns| ns as f64 / 1e9),
        probability: found.probability,
        tokens: usual.output_tokens as f64 / usual.samples.max(1) as f64,
        open: open(&rows),
        margin: format!(
            "{over} samples over a limit, {} allowed; TTFT {:.1} to {:.1} ms, TPOT {:.2} to {:.2} ms",
            usual
                .allowed_over
                .map_or_else(|| "none".to_owned(), |most| most.to_string()),
            ms(found.ttft_ns[0]),
            ms(found.ttft_ns[1]),
            ms(found.tpot_ns[0]),
            ms(found.tpot_ns[1])
        ),
    }
}
