//! `ossmark endpoints`: submissions of MLPerf Endpoints. `crates/endpoints` does the work; this prints it and writes files.

pub(crate) mod build;
pub(crate) mod run;

use std::path::Path;

use anyhow::{Context, Result};
use ossmark_endpoints::Severity;
use ossmark_endpoints::check::{self, Options, Report, Verdict};
use ossmark_endpoints::client::CountTokens;
use ossmark_endpoints::plan::{self, Plan};
use ossmark_harmony::Tokenizer;
use ossmark_report::curve_page;

use crate::children;
use crate::cli::{EndpointsCheckArgs, EndpointsPlanArgs, EndpointsReportArgs};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::say;

pub(crate) fn check(args: &EndpointsCheckArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let tokenizer = Counting::load(args.tokenizer.as_deref())?;
    let report = check::check(Options {
        tree: &args.tree,
        tokens: tokenizer
            .as_ref()
            .map(|tokenizer| tokenizer as &dyn CountTokens),
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

/// A tokenizer as the client uses one.
struct Counting(Tokenizer);

impl Counting {
    fn load(path: Option<&Path>) -> Result<Option<Self>> {
        let tokenizer = path.map(Tokenizer::load).transpose()?;
        Ok(tokenizer.map(Self))
    }
}

impl CountTokens for Counting {
    fn count(&self, text: &str) -> Result<usize, String> {
        let ids = self.0.encode_with_control_tokens(text);
        ids.map(|ids| ids.len()).map_err(|error| error.to_string())
    }
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

pub(crate) fn report(args: &EndpointsReportArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut page = output::claim_file(&args.output, args.force)?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let curve = ossmark_endpoints::curve(&args.dir)?;
    page.write(curve_page(&curve).as_bytes())?;
    if let Some(file) = &mut json_file {
        file.write_json(&curve)?;
    }
    say!("{} points", curve.points.len());
    for notice in &curve.notices {
        say!("{notice}");
    }
    say!("written: {}", args.output.display());
    Ok(Outcome::Good)
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
    for run in &report.client_runs {
        say!(
            "{}: {} requests under way at most, {:.2} on average; events read",
            run.path.display(),
            run.most_under_way,
            run.mean_under_way
        );
    }
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
