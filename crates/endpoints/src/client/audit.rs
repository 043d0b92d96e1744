//! Whether what a run says of itself follows from its events: figures, order of the samples, requests under way.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::EVENTS;
use super::config::{Config, Declared, rows_of};
use super::difference::differences;
use super::log;
use super::rows::{self, Order};
use super::samples::{CountTokens, Finished, Samples};
use super::summary::Summary;
use crate::finding::Findings;
use crate::steady_state::{SteadyState, steady_state};

/// A run whose events were read.
#[derive(Clone, Debug, Serialize)]
pub struct Audited {
    /// The directory, as it was given or found.
    pub path: PathBuf,
    /// What the client would have written of these events.
    pub recomputed: Summary,
    /// Requests under way: the most at once, and the mean over the duration.
    pub most_under_way: usize,
    /// All latencies over the duration.
    pub mean_under_way: f64,
    /// Of the data set, by its name or by the order of the samples.
    pub rows: Option<u32>,
    /// By MLCommons' detector; `None` where the rows of the data set or the tokens are not known.
    pub steady_state: Option<SteadyState>,
}

/// A run directory, or a point's folder in a tree.
#[derive(Debug)]
struct Run<'a> {
    dir: &'a Path,
    events: PathBuf,
    config: Config,
    /// What `point.yaml` says beside it.
    point: Option<Declared>,
}

/// Reads a run's events and compares. `is_alone`: no rule of a tree looks at its summary.
pub(crate) fn audit(
    dir: &Path,
    tokens: Option<&dyn CountTokens>,
    is_alone: bool,
    findings: &mut Findings,
) -> Option<Audited> {
    let run = Run {
        dir,
        events: dir.join(EVENTS),
        config: Config::read(&dir.join("config.yaml")).unwrap_or_default(),
        point: Declared::read(&dir.join("point.yaml")),
    };
    let mut samples = Samples::new(tokens);
    let read = log::read(&run.events, |event, _| samples.take(&event));
    if let Err(damage) = read {
        let rest = if damage.is_cut {
            "; the line is cut off, as if the client had been ended while it wrote"
        } else {
            ""
        };
        let message = format!("line {}: {}{rest}", damage.line, damage.why);
        findings.error("client-events-unreadable", &run.events, message);
        return None;
    }
    let finished = match samples.finish() {
        Ok(finished) => finished,
        Err(why) => {
            findings.error("client-events-unreadable", &run.events, why);
            return None;
        }
    };
    let recomputed = Summary::from(&finished);
    run.figures(&finished, &recomputed, findings);
    run.under_way(&finished, findings);
    let counted = run.order(&finished, findings);
    if is_alone {
        run.rules_of_points(&finished, counted, findings);
    }
    let rows = run.rows().or(counted);
    let steady_state = rows.filter(|_| tokens.is_some()).map(|rows| {
        let concurrency = run.concurrency().and_then(|c| u64::try_from(c).ok());
        steady_state(
            finished.rows,
            rows as usize,
            concurrency.unwrap_or(u64::MAX),
        )
    });
    if let Some(found) = &steady_state {
        run.declared_steady(found, findings);
    }
    Some(Audited {
        path: dir.to_owned(),
        recomputed,
        most_under_way: finished.seen.most_open,
        mean_under_way: finished.mean_open(),
        rows,
        steady_state,
    })
}

impl Run<'_> {
    /// The client's directory has it one level down.
    fn summary(&self) -> PathBuf {
        let below = self.dir.join("performance/result_summary.json");
        if below.exists() {
            below
        } else {
            self.dir.join("result_summary.json")
        }
    }

    fn figures(&self, run: &Finished<'_>, recomputed: &Summary, findings: &mut Findings) {
        const MOST_BYTES: u64 = 4 << 20;
        let file = &self.summary();
        let found = rows::bytes(file, MOST_BYTES).and_then(|bytes| {
            let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
            ossmark_json::loads::<serde_json::Value>(&text).map_err(|error| error.to_string())
        });
        let found = match found {
            Ok(found) => found,
            Err(why) => {
                findings.error("client-summary-differs", file, why);
                return;
            }
        };
        let Ok(serde_json::Value::Object(mut expected)) = serde_json::to_value(recomputed) else {
            unreachable!("a summary is an object of finite numbers and texts")
        };
        let mut leave_out = vec!["version", "git_sha", "run_config"];
        if run.seen.uncounted_prompts > 0 {
            leave_out.push("input_sequence_lengths");
        }
        if run.seen.uncounted_answers > 0 {
            leave_out.extend(["output_sequence_lengths", "tpot", "tps"]);
        }
        if !self.config.is_streaming {
            leave_out.extend(["ttft", "tpot"]);
        }
        if !found["legacy_loadgen_window_duration_ns"].is_null() {
            // Of Poisson runs, which are no points.
            leave_out.extend(["qps", "tps", "legacy_loadgen_window_duration_ns"]);
        }
        expected.retain(|name, _| !leave_out.contains(&name.as_str()));
        let differences = differences(&found, &serde_json::Value::Object(expected));
        for difference in &differences {
            let more = match difference.more {
                0 => String::new(),
                more => format!(" (and {more} more of its figures)"),
            };
            findings.error(
                "client-summary-differs",
                file,
                format!(
                    "found {} {}, expected {} by {EVENTS}{more}",
                    difference.name, difference.found, difference.expected
                ),
            );
        }
        if differences.is_empty() {
            let message = format!("all figures follow from {EVENTS}");
            findings.pass("client-summary-differs", file, message);
        }
        let uncounted = run.seen.uncounted_prompts + run.seen.uncounted_answers;
        if uncounted > 0 {
            let why = if run.has_tokens {
                "with messages, reasoning or tool calls, which only the model's chat template counts"
            } else {
                "and no tokenizer was given (--tokenizer)"
            };
            findings.warning(
                "client-tokens-not-counted",
                file,
                format!(
                    "found {uncounted} prompts or answers {why}: their figures are not looked at"
                ),
            );
        }
    }

    fn under_way(&self, run: &Finished<'_>, findings: &mut Findings) {
        if run.open > 0 {
            let message = format!("found {} requests without an end, expected none", run.open);
            findings.error("client-answers-lost", &self.events, message);
        }
        let Some(concurrency) = self.concurrency() else {
            return;
        };
        let most = run.seen.most_open;
        if most as i128 == concurrency {
            let message = format!("{most} at once");
            findings.pass("client-concurrency-not-reached", &self.events, message);
        } else {
            findings.error(
                "client-concurrency-not-reached",
                &self.events,
                format!("found at most {most} requests under way at once, expected {concurrency}"),
            );
        }
    }

    fn concurrency(&self) -> Option<i128> {
        match &self.point {
            Some(point) => point.concurrency,
            None => self.config.concurrency,
        }
    }

    /// Rows of the data set, where its name tells.
    fn rows(&self) -> Option<u32> {
        let named = self
            .point
            .as_ref()
            .and_then(|point| point.dataset.as_deref());
        let declared = named.and_then(rows_of);
        declared.or_else(|| self.config.rows())
    }

    /// Rows of the data set, as the order shows them.
    fn order(&self, run: &Finished<'_>, findings: &mut Findings) -> Option<u32> {
        let map = &self.dir.join("sample_idx_map.json");
        let configured = self.config.seed.map(|seed| ("config.yaml", seed));
        let point = self.point.as_ref().and_then(|point| point.seed);
        let declared = point.map(|seed| ("point.yaml", seed));
        if configured.is_none() && declared.is_none() {
            return None;
        }
        let rows = match rows::read(map, run.order) {
            Ok(rows) => rows,
            Err(why) => {
                findings.warning("client-order-not-known", map, why);
                return None;
            }
        };
        let mut counted = None;
        for (name, seed) in configured.into_iter().chain(declared) {
            let Ok(seed) = u64::try_from(seed) else {
                findings.error(
                    "client-order-differs",
                    &self.dir.join(name),
                    format!("found the seed {seed}, expected one of 64 bits"),
                );
                continue;
            };
            let expected = format!("expected the order that {name}'s seed {seed} gives");
            match rows::compare(&rows, seed, self.rows()) {
                Order::Shuffled(count) => {
                    counted = Some(count);
                    let message = format!("the order of {name}'s seed over {count} rows");
                    findings.pass("client-order-differs", map, message);
                }
                Order::Drawn(count) => findings.error(
                    "client-order-differs",
                    map,
                    format!(
                        "found rows drawn with replacement from {count}, {expected} by shuffling"
                    ),
                ),
                Order::Other(at) => findings.error(
                    "client-order-differs",
                    map,
                    format!("found row {} for sample {at}, {expected}", rows[at]),
                ),
            }
        }
        counted
    }

    /// `point.yaml` copies what the detector says.
    fn declared_steady(&self, found: &SteadyState, findings: &mut Findings) {
        let point = self.point.as_ref();
        let Some(declared) = point.and_then(|point| point.steady_state.as_ref()) else {
            return;
        };
        let file = &self.dir.join("point.yaml");
        let ends = |first: Option<i128>, last| first.zip(last);
        let stated = ends(declared.window.first, declared.window.last);
        let window = found.window.as_ref();
        let expected = window.map(|w| (w.super_pass_start as i128, w.super_pass_end as i128));
        let verdict = declared.verdict.as_deref().unwrap_or(found.verdict);
        let is_same = verdict == found.verdict && (stated.is_none() || stated == expected);
        let events = format!("{} with the window {expected:?}", found.verdict);
        if is_same {
            findings.pass("client-steady-state-differs", file, events);
        } else {
            let message = format!(
                "found {verdict} with the window {stated:?} of passes, expected {events} by {EVENTS}"
            );
            findings.error("client-steady-state-differs", file, message);
        }
    }

    /// What the check of a tree says by its summary.
    fn rules_of_points(&self, run: &Finished<'_>, counted: Option<u32>, findings: &mut Findings) {
        let (seen, file) = (run.seen, &self.events);
        if let Some(rows) = self.rows().or(counted).map(u64::from)
            && !seen.issued.is_multiple_of(rows)
        {
            findings.error(
                "point-passes-not-whole",
                file,
                format!(
                    "found {} queries, expected whole passes over the {rows} of the data set",
                    seen.issued
                ),
            );
        }
        if seen.failed > 0 {
            findings.error(
                "point-failed-requests",
                file,
                format!("found {} failed requests among {} completed, expected none: their answers are not counted, their time is", seen.failed, seen.completed),
            );
        }
        if !seen.has_ended {
            findings.error(
                "point-run-not-complete",
                file,
                "found no end of the session, expected a whole run",
            );
        }
        if seen.first_after_end > 0 {
            findings.warning(
                "point-negative-time",
                file,
                format!("found {} answers whose first fragment is stamped after their end, expected none: the client's time stamps are not in order", seen.first_after_end),
            );
        }
        crate::check::held(self.concurrency(), run.mean_open(), file, findings);
    }
}
