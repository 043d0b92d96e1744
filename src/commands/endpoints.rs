//! `ossmark endpoints`: submissions of MLPerf Endpoints. `crates/endpoints` does the work; this prints it and writes files.

use anyhow::{Context, Result};
use ossmark_endpoints::Severity;
use ossmark_endpoints::check::{self, Options, Report, Verdict};
use ossmark_endpoints::plan::{self, Plan};

use crate::children;
use crate::cli::{EndpointsCheckArgs, EndpointsPlanArgs};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::say;

pub(crate) fn check(args: &EndpointsCheckArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let report = check::check(Options {
        tree: &args.tree,
        official_only: args.official_only,
        strict: args.strict,
    })?;
    print(&report);
    if let Some(file) = &mut json_file {
        file.write_json(&report)?;
    }
    Ok(match report.verdict {
        Verdict::Valid => Outcome::Good,
        Verdict::Invalid => Outcome::NotGood,
    })
}

pub(crate) fn plan(args: &EndpointsPlanArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let plan = plan::plan(&plan::Options {
        c_max: args.c_max.into(),
        c_min: args.c_min.into(),
        is_declared: args.c_min_override,
        is_dedicated: args.dedicated_offline,
        seconds: args.seconds.clone(),
    })
    .context("--c-max or --c-min")?;
    print_plan(&plan);
    if let Some(file) = &mut json_file {
        file.write_json(&plan)?;
    }
    Ok(if plan.empty_regions.is_empty() {
        Outcome::Good
    } else {
        Outcome::NotGood
    })
}

fn print_plan(plan: &Plan) {
    let shown =
        |hours: Option<f64>| hours.map_or_else(|| "not known".into(), |h| format!("{h:.1} h"));
    say!("low_concurrency  {}", plan.regions.low_concurrency);
    say!("med_concurrency  {}", plan.regions.med_concurrency);
    say!("high_concurrency {}", plan.regions.high_concurrency);
    say!("margin           {}", plan.regions.margin);
    for point in &plan.points {
        say!(
            "r{} {}{}{}: {} passes, n_samples_to_issue {}, {}",
            point.concurrency,
            point.region,
            point
                .offline
                .map_or_else(String::new, |offline| format!(", Offline {offline}")),
            if point.accuracy { ", accuracy" } else { "" },
            point.passes,
            point.requests,
            shown(point.hours)
        );
    }
    for seeds in &plan.seeds {
        say!(
            "seed set {}: scheduler_random_seed {}, dataloader_random_seed {}, model_params.seed {}; cohorts {}",
            seeds.set,
            seeds.scheduler,
            seeds.sample_index,
            seeds.model,
            seeds.cohorts.join(", ")
        );
    }
    for region in &plan.empty_regions {
        say!("no concurrency lies in {region}: this C_max and C_min make no curve");
    }
    say!(
        "{} points, performance runs {}",
        plan.points.len(),
        shown(plan.hours)
    );
    say!("only MLCommons' own client may measure what is submitted");
}

/// What is good is counted only; --json has it.
fn print(report: &Report) {
    for finding in &report.findings {
        let severity = match finding.severity {
            Severity::Error => "ERROR",
            Severity::Warning => "WARNING",
            Severity::Info if report.official_crash && !finding.fix.is_empty() => "CRASH",
            Severity::Info => continue,
        };
        let official = if finding.official { ", official" } else { "" };
        say!("{severity} {}{official}", finding.rule);
        say!("  {}", finding.path);
        say!("  {}", finding.message);
        say!("  fix: {}", finding.fix);
        say!("  source: {}", finding.source);
    }
    if report.findings_left_out > 0 {
        say!("and {} more findings", report.findings_left_out);
    }
    let basis = if report.official_only {
        " by the official checker's rules alone"
    } else {
        ""
    };
    let verdict = match report.verdict {
        Verdict::Valid => "VALID",
        Verdict::Invalid => "INVALID",
    };
    say!(
        "{} errors, {} warnings, {} checks passed: submission {verdict}{basis}",
        report.count(Severity::Error),
        report.count(Severity::Warning),
        report.count(Severity::Info)
    );
}
