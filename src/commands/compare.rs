//! `ossmark compare`: what differs between runs, and whether it is more than noise.

use anyhow::{Result, bail};
use ossmark_report::{Compared, Comparison, Depth, Units, compare as difference};

use super::report::runs;
use crate::children;
use crate::cli::CompareArgs;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::say;

pub(crate) fn compare(args: &CompareArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let (a, b) = match args.with.as_slice() {
        [] => args.runs.split_at(1),
        with => (args.runs.as_slice(), with),
    };
    if b.is_empty() {
        bail!("found one run, expected two or more: name another one to compare it with");
    }
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let comparison = difference(
        &runs(a, Depth::Line)?,
        &runs(b, Depth::Line)?,
        args.floor / 100.0,
    );
    print(&comparison);
    if let Some(file) = &mut json_file {
        file.write_json(&comparison)?;
    }
    let Some(within) = args.expect_within else {
        return Ok(Outcome::Good);
    };
    let beyond = |metric: &&Compared| {
        metric.noise != Some(true) && (metric.ratio - 1.0).abs() > within / 100.0
    };
    let beyond: Vec<&str> = comparison
        .metrics
        .iter()
        .filter(beyond)
        .map(|metric| metric.name)
        .collect();
    if comparison.metrics.is_empty() {
        say!("expected within {within}%: there is nothing that both sides have");
        return Ok(Outcome::NotGood);
    }
    if beyond.is_empty() {
        return Ok(Outcome::Good);
    }
    say!("expected within {within}%: not so {}", beyond.join(", "));
    Ok(Outcome::NotGood)
}

fn print(comparison: &Comparison) {
    let runs = comparison.runs.iter().zip(&comparison.missing);
    for (i, (run, missing)) in runs.enumerate() {
        say!("{} {run}", if i < comparison.a { "A" } else { "B" });
        for what in missing {
            say!("  {what}");
        }
    }
    for setting in &comparison.settings {
        let values: Vec<String> = setting
            .values
            .iter()
            .map(|value| ossmark_files::Brief(&value.to_string()).to_string())
            .collect();
        say!("setting {}: {}", setting.name, values.join(" | "));
    }
    if comparison.metrics.is_empty() {
        say!("no metric is known of all runs: they have neither a record nor LoadGen's rate");
        return;
    }
    say!(
        "{:<20} {:>12} {:>12} {:>8}  {:<17}",
        "metric (means)",
        "A",
        "B",
        "B/A",
        "95% interval"
    );
    for metric in &comparison.metrics {
        let (a, b) = metric.values.split_at(comparison.a);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let interval = metric.interval.map_or("not known".into(), |[low, high]| {
            format!("{low:.4} to {high:.4}")
        });
        let word = match metric.noise {
            Some(true) => "noise",
            Some(false) => "DIFFERS",
            None => "",
        };
        say!(
            "{:<20} {:>12.3} {:>12.3} {:>8.4}  {interval:<17} {word}",
            metric.name,
            mean(a),
            mean(b),
            metric.ratio
        );
    }
    let units = match comparison.units {
        Units::Runs => "intervals are of the runs",
        Units::Samples => {
            "intervals are of the samples: what differs from run to run is not in them"
        }
    };
    let differs = comparison
        .metrics
        .iter()
        .any(|metric| metric.noise == Some(false));
    match (comparison.noise, differs) {
        (true, _) => say!("no more than noise ({units})"),
        (false, true) => say!("more than noise ({units})"),
        (false, false) => say!("whether it is more than noise cannot be told: a run has no record"),
    }
}
