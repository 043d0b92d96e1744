//! `ossmark run --dry-run`: what a run would issue and when it would end, without issuing anything. Writes nothing but its
//! `--json`.

use anyhow::{Result, anyhow};
use loadgen::TestSettings;
use ossmark_predict::{Limits, Outcome as Predicted, Query};
use ossmark_rules::{Mode, Scenario};
use serde::Serialize;

use super::before;
use super::issued::{self, issued};
use super::plan::RunPlan;
use super::serving::Serving;
use crate::exit::Outcome;
use crate::generator::echo::Script;
use crate::generator::engine_plan::EnginePlan;
use crate::output::claim_file;
use crate::terminal::say;
use crate::terminal::screen::text_columns;
use crate::terminal::text::wrapped;

/// What is known of a run before it.
#[derive(Debug, Serialize)]
struct Preview {
    scenario: Scenario,
    mode: Mode,
    /// Samples that LoadGen will issue.
    samples: u64,
    /// Queries that it will issue them in.
    queries: u64,
    /// Different samples among them.
    distinct: u64,
    /// When the last query is due, in seconds after the first; null where only LoadGen knows.
    last_due_s: Option<f64>,
    /// Limits on the percentile, and how many samples early stopping allows over each; null where there are none.
    limits: Option<Allowed>,
    /// How it would differ from what its round asks for.
    deviations: Vec<String>,
    /// What the engine would do; null where that is not known before it was measured.
    predicted: Option<Served>,
}

#[derive(Debug, Serialize)]
struct Allowed {
    ttft_ms: f64,
    tpot_ms: f64,
    percentile: f64,
    allowed_over: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Served {
    /// When the last answer is whole, in seconds after the first query is due.
    ends_s: f64,
    ttft_p99_ms: f64,
    tpot_p99_ms: f64,
    /// Whether its latencies are within the limits; null where there are none.
    within_limits: Option<bool>,
}

/// Tells what the run would be.
pub(super) fn preview(plan: &RunPlan) -> Result<Outcome> {
    let mut json = plan
        .json
        .as_deref()
        .map(|file| claim_file(file, plan.force))
        .transpose()?;
    let settings = plan.loadgen.audited()?;
    let preview = foresee(plan, &settings)?;
    tell(&preview, &settings);
    if let Some(json) = &mut json {
        json.write_json(&preview)?;
    }
    Ok(Outcome::Good)
}

fn foresee(plan: &RunPlan, settings: &TestSettings) -> Result<Preview> {
    let rows = plan.prompts.len() as u64;
    let is_offline = plan.scenario == Scenario::Offline;
    let has_limits = !is_offline && plan.mode == Mode::Performance && settings.use_token_latencies;
    let deviations = before::deviations(plan)?;
    let limits = has_limits.then_some(Limits {
        ttft_ns: settings.server_ttft_latency as i64,
        tpot_ns: settings.server_tpot_latency as i64,
        percentile: settings.server_target_latency_percentile,
        deciding: settings.server_target_latency_percentile,
    });
    if plan.mode == Mode::Accuracy {
        let samples = settings.expected_samples(rows, rows);
        return Ok(Preview {
            scenario: plan.scenario,
            mode: plan.mode,
            samples,
            // Offline: a query for each set that is loaded.
            queries: match is_offline {
                true => samples.div_ceil(settings.loaded_samples(rows, rows).max(1)),
                false => samples,
            },
            distinct: samples,
            last_due_s: is_offline.then_some(0.0),
            limits: None,
            deviations,
            predicted: None,
        });
    }
    let queries = queries(plan, settings)?;
    let mut distinct: Vec<u32> = queries.iter().map(|query| query.sample).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let predicted = match &plan.engine {
        EnginePlan::Echo(script) => Some(echo(plan, script, &queries, limits)),
        EnginePlan::Model { .. } | EnginePlan::Http { .. } => None,
    };
    let samples = queries.len() as u64;
    Ok(Preview {
        scenario: plan.scenario,
        mode: plan.mode,
        samples,
        queries: if is_offline { 1 } else { samples },
        distinct: distinct.len() as u64,
        last_due_s: queries.last().map(|query| query.due_ns as f64 / 1e9),
        limits: limits.map(|limits| Allowed {
            ttft_ms: limits.ttft_ns as f64 / 1e6,
            tpot_ms: limits.tpot_ns as f64 / 1e6,
            percentile: limits.percentile,
            allowed_over: ossmark_record::early_stopping::allowed_over(samples, limits.percentile),
        }),
        deviations,
        predicted,
    })
}

/// What a performance run issues, where its settings are of the kinds that are foreseen.
fn queries(plan: &RunPlan, settings: &TestSettings) -> Result<Vec<Query>> {
    let issued = issued(settings, plan.prompts.len() as u64).map_err(|error| {
        anyhow!("--dry-run: {error}; leave that out, or leave out --dry-run and run it")
    })?;
    Ok(issued::queries(&issued, settings.scenario))
}

/// What the echo engine does with them by its script.
fn echo(plan: &RunPlan, script: &Script, queries: &[Query], limits: Option<Limits>) -> Served {
    let serving = Serving::of_script(script, plan.template.max_new_tokens);
    let rows = serving.rows(queries, &plan.prompt_tokens, 1.0);
    let none = Limits {
        ttft_ns: i64::MAX,
        tpot_ns: i64::MAX,
        percentile: 0.99,
        deciding: 0.99,
    };
    let outcome = Predicted::of(&rows, &limits.unwrap_or(none));
    Served {
        ends_s: outcome.ended_ns as f64 / 1e9,
        ttft_p99_ms: outcome.percentile_ns[0] as f64 / 1e6,
        tpot_p99_ms: outcome.percentile_ns[1] as f64 / 1e6,
        within_limits: limits.map(|_| outcome.is_valid()),
    }
}

fn tell(preview: &Preview, settings: &TestSettings) {
    for deviation in &preview.deviations {
        for line in wrapped(&format!("deviation: {deviation}"), text_columns(), 4) {
            say!("{line}");
        }
    }
    let (target_qps, min_duration_ms) = (settings.target_qps(), settings.min_duration_ms);
    let Preview {
        samples,
        queries,
        distinct,
        ..
    } = preview;
    say!(
        "{}, {}: {samples} samples, {distinct} different ones, in {queries} queries; nothing was issued",
        preview.scenario.name(),
        preview.mode.name()
    );
    match preview.last_due_s {
        Some(0.0) => say!("all are due at once"),
        Some(last) => {
            say!("the last query is due {last:.3} s after the first ({target_qps} queries/s)")
        }
        None => say!(
            "the last query is due some {:.0} s after the first ({target_qps} queries/s)",
            *samples as f64 / target_qps
        ),
    }
    if let Some(limits) = &preview.limits {
        let allowed = match limits.allowed_over {
            Some(most) => format!("early stopping allows {most} samples over each"),
            None => "too few samples for early stopping: the run cannot be VALID".into(),
        };
        say!(
            "limits on the {} percentile: {} ms to the first token, {} ms per token; {allowed}",
            limits.percentile,
            limits.ttft_ms,
            limits.tpot_ms
        );
    }
    let Some(served) = &preview.predicted else {
        say!("it ends when the last answer does, which the engine decides");
        return;
    };
    say!(
        "by its script the echo engine gives the last answer after {:.3} s; 99th percentiles: {:.3} ms to the first token, {:.3} ms \
         per token{}",
        served.ends_s,
        served.ttft_p99_ms,
        served.tpot_p99_ms,
        match served.within_limits {
            Some(true) => ", within the limits",
            Some(false) => ", over the limits: INVALID",
            None => "",
        }
    );
    if preview.scenario == Scenario::Offline && served.ends_s * 1e3 < min_duration_ms as f64 {
        say!(
            "that is less than the {min_duration_ms} ms that it must last: INVALID; raise --target-qps"
        );
    }
}
