//! Everything that a page shows of one run, as data.

use ossmark_record::{Row, Second, percentile};
use ossmark_rules::rules;
use serde::Serialize;

use crate::lengths::Lengths;
use crate::limit::ms;
use crate::prompts::Prompts;
use crate::run::{Completeness, Run};
use crate::said::{Fault, Verdict};
use crate::summary::Summary;
use crate::windows::Windows;

/// The most windows of a plot over time.
pub(crate) const WINDOWS: usize = 120;
/// The samples in the list of the slowest.
pub(crate) const SLOWEST: usize = 20;
/// Steps of a distribution function: a point each half per cent.
pub(crate) const STEPS: usize = 200;

/// Everything that a page shows of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// What lists show too.
    #[serde(flatten)]
    pub summary: Summary,
    /// The verdict as a sentence.
    pub sentence: String,
    /// What a reader must know first: changed files, an incomplete record, what could not be read.
    pub notices: Vec<String>,
    /// Why the run is not valid.
    pub reasons: Vec<String>,
    /// How it differs from what the round asks for.
    pub deviations: Vec<String>,
    /// What the harness saw go wrong.
    pub faults: Vec<Fault>,
    /// The run over time.
    pub windows: Windows,
    /// Distribution of the times to the first token.
    pub ttft: Option<Distribution>,
    /// Distribution of the times per output token.
    pub tpot: Option<Distribution>,
    /// Distribution of the times to the whole answer.
    pub latency: Option<Distribution>,
    /// Tokens of the answers.
    pub lengths: Option<Lengths>,
    /// Time to the first token by the prompt's length.
    pub prompts: Option<Prompts>,
    /// The slowest samples, by latency.
    pub slowest: Vec<Slow>,
}

/// A distribution function, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distribution {
    /// Samples.
    pub samples: u64,
    /// Mean.
    pub mean_ms: f64,
    /// The value at each step from 0 to 1, by LoadGen's percentiles; the last is the greatest.
    pub steps_ms: Vec<f64>,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The 99.9th percentile.
    pub p999_ms: f64,
}

impl Distribution {
    /// Of nanoseconds; `None` of nothing.
    pub fn of(mut values: Vec<i64>) -> Option<Self> {
        values.sort_unstable();
        let at = |p| percentile(&values, p).map(ms);
        let sum: f64 = values.iter().map(|ns| *ns as f64).sum();
        Some(Self {
            samples: values.len() as u64,
            steps_ms: (0..=STEPS)
                .map(|i| at(i as f64 / STEPS as f64))
                .collect::<Option<_>>()?,
            mean_ms: sum / values.len() as f64 / 1e6,
            p99_ms: at(0.99)?,
            p999_ms: at(0.999)?,
        })
    }

    /// The value at a share that is a whole number of half per cents.
    pub fn at(&self, share: f64) -> f64 {
        self.steps_ms[(share * STEPS as f64).round() as usize]
    }
}

/// A slow sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slow {
    /// Its place in the order of issue.
    pub request: u64,
    /// The row of the data set.
    pub sample_index: u32,
    /// Tokens of its prompt and answer.
    pub prompt_tokens: u32,
    /// See `prompt_tokens`.
    pub output_tokens: u32,
    /// When it was issued.
    pub issued_s: f64,
    /// Its latencies.
    pub ttft_ms: Option<f64>,
    /// See `ttft_ms`.
    pub tpot_ms: Option<f64>,
    /// See `ttft_ms`.
    pub latency_ms: f64,
    /// Why it ended, and who answered.
    pub end: &'static str,
    /// See `end`.
    pub engine: u16,
}

impl Figures {
    /// The figures of a run.
    pub fn of(run: &Run) -> Self {
        let summary = Summary::of(run);
        let verdict = run.verdict.as_ref();
        let said = |of: fn(&Verdict) -> &Vec<String>| verdict.map(of).cloned().unwrap_or_default();
        let all = |of: fn(&Row) -> Option<i64>| {
            Distribution::of(run.rows.iter().filter_map(of).collect())
        };
        Self {
            sentence: sentence(run, &summary),
            notices: notices(run, &summary),
            reasons: said(|v| &v.reasons),
            deviations: said(|v| &v.deviations),
            faults: verdict.map(|v| v.faults.clone()).unwrap_or_default(),
            windows: Windows::of(&run.rows, WINDOWS),
            ttft: all(Row::ttft_ns),
            tpot: all(Row::tpot_ns),
            latency: all(Row::latency_ns),
            lengths: Lengths::of(&run.rows),
            prompts: Prompts::of(&run.rows),
            slowest: slowest(&run.rows),
            summary,
        }
    }
}

fn slowest(rows: &[Row]) -> Vec<Slow> {
    let mut slow: Vec<(i64, &Row)> = rows
        .iter()
        .filter_map(|row| Some((row.latency_ns()?, row)))
        .collect();
    let order = |(latency, row): &(i64, &Row)| (std::cmp::Reverse(*latency), row.request);
    if slow.len() > SLOWEST {
        slow.select_nth_unstable_by_key(SLOWEST, order);
        slow.truncate(SLOWEST);
    }
    slow.sort_unstable_by_key(order);
    let shown = |(latency, row): (i64, &Row)| Slow {
        request: row.request,
        sample_index: row.sample_index,
        prompt_tokens: row.prompt_tokens,
        output_tokens: row.output_tokens,
        issued_s: row.issued_ns.or(row.scheduled_ns).unwrap_or_default() as f64 / 1e9,
        ttft_ms: row.ttft_ns().map(ms),
        tpot_ms: row.tpot_ns().map(ms),
        latency_ms: ms(latency),
        end: row.end.name(),
        engine: row.engine,
    };
    slow.into_iter().map(shown).collect()
}

/// The verdict in one sentence; the first reason stands for those that follow it on the page.
fn sentence(run: &Run, summary: &Summary) -> String {
    let words = [&summary.scenario, &summary.mode].into_iter().flatten();
    let what: String = words.map(|word| format!("{word} ")).collect();
    let settings = match summary.settings.as_deref() {
        Some("official") => "at the round's official settings",
        Some(_) => "a test: its settings are not the round's",
        None => "whether its settings are the round's is not known",
    };
    match (summary.verdict.as_deref(), &run.verdict) {
        (Some("valid"), _) => format!("Valid {what}run, {settings}."),
        (Some(_), Some(verdict)) => {
            let why = verdict
                .reasons
                .first()
                .map_or("no reason is given", String::as_str);
            let more = match verdict.reasons.len() {
                0 | 1 => String::new(),
                n => format!(" (and {} more)", n - 1),
            };
            format!("Invalid {what}run, {settings}: {why}{more}.")
        }
        _ if run.mode().as_deref() == Some("infer") => {
            "Answers of ossmark infer: no test of LoadGen, and no verdict; ossmark score judges them.".into()
        }
        _ => {
            let loadgen = match &summary.loadgen_result {
                Some(result) => format!("LoadGen says {result}, which alone is no verdict"),
                None => "LoadGen gave no result either".into(),
            };
            format!("No verdict of ossmark on this {what}run: {loadgen}.")
        }
    }
}

fn notices(run: &Run, summary: &Summary) -> Vec<String> {
    let mut notices = Vec::new();
    for file in run.files.iter().filter(|file| !file.is_same()) {
        notices.push(match &file.found {
            Ok(found) => format!(
                "{} is not the file that the verdict was given on: its SHA-256 is {found}, verdict.json has {}",
                file.name, file.stated
            ),
            Err(why) => format!("{}, which verdict.json has a hash of: {why}", file.name),
        });
    }
    notices.extend(run.missing());
    if run.record == Completeness::Absent {
        notices.push(
            "there is no record of this run (samples.parquet): what needs one is left out of this page".into(),
        );
    }
    if let (Some(why), false) = (&summary.no_steady, run.rows.is_empty()) {
        notices.push(format!("no steady part: {why}"));
    }
    notices
}

/// What a plot of a second needs, where the timeline has it.
pub(crate) fn over_time(
    seconds: &[Second],
    of: impl Fn(&Second) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let value = |second: &Second| Some((second.t_s, of(second)?));
    let mut points: Vec<(f64, f64)> = seconds.iter().filter_map(value).collect();
    points.retain(|(t, value)| t.is_finite() && value.is_finite() && *t >= 0.0);
    // One of so many that the plot keeps its resolution.
    let every = points.len().div_ceil(2 * WINDOWS).max(1);
    points.into_iter().step_by(every).collect()
}

/// TEST09's band of mean tokens, of the round's rules.
pub(crate) fn test09() -> Option<(f64, f64)> {
    let test = &rules().compliance.test09;
    Some((
        test.min_mean_tokens.as_ref()?.value,
        test.max_mean_tokens.as_ref()?.value,
    ))
}
