//! `ossmark runs`: the runs below a directory: of each its figures, and where it is.

use anyhow::{Context, Result};
use ossmark_files::Escaped;
use ossmark_report::{Kind, Summary, runs as below};

use crate::children;
use crate::cli::{RunsArgs, SettingsArg, VerdictArg};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::{say, text::decimals};

pub(crate) fn runs(args: &RunsArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let all = below(&args.dir).with_context(|| {
        format!(
            "{}: cannot be looked into, expected a directory with runs in it",
            Escaped::path(&args.dir)
        )
    })?;
    let is = |found: &Option<String>, wanted: Option<&str>| {
        wanted.is_none_or(|wanted| found.as_deref() == Some(wanted))
    };
    let wanted = |run: &Summary| {
        is(&run.scenario, args.scenario.map(|scenario| scenario.name()))
            && is(&run.mode, args.mode.map(|mode| mode.name()))
            && is(&run.verdict, args.verdict.map(VerdictArg::name))
            && is(&run.settings, args.settings.map(SettingsArg::name))
    };
    let shown: Vec<Summary> = all.into_iter().filter(wanted).collect();
    if let Some(file) = &mut json_file {
        file.write_json(&shown)?;
    }
    match shown.is_empty() {
        true => say!("no run below {}", Escaped::path(&args.dir)),
        false => print(&shown),
    }
    Ok(Outcome::Good)
}

fn print(runs: &[Summary]) {
    say!(
        "{}",
        row(["run", "verdict", "tokens/s", "TTFT ms", "TPOT ms", "over"])
    );
    for run in runs {
        say!("{}", figures(run));
        say!("{}", place(run));
    }
}

/// Of a table that fits a terminal.
fn row([run, verdict, rate, ttft, tpot, margin]: [&str; 6]) -> String {
    let line = format!("{run:<23} {verdict:<11} {rate:>10} {ttft:>8} {tpot:>8}  {margin}");
    line.trim_end().to_owned()
}

fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or("-")
}

/// What came of a run; times are 99th percentiles.
fn figures(run: &Summary) -> String {
    let p99 = |kind: Kind| {
        let limit = run.limits.iter().find(|limit| limit.name == kind);
        limit
            .and_then(|limit| limit.p99_ms)
            .map_or("-".into(), |ms| decimals(ms, 1))
    };
    let cut = if run.complete { "" } else { " cut" };
    row([
        &format!("{} {}", text(&run.scenario), text(&run.mode)),
        &format!("{}{cut}", text(&run.verdict)),
        &run.tokens_per_s
            .map_or("-".into(), |rate| decimals(rate, 1)),
        &p99(Kind::Ttft),
        &p99(Kind::Tpot),
        &margin(run),
    ])
}

/// Where a run is, and which it was.
fn place(run: &Summary) -> String {
    format!(
        "  {}  ({}, {} settings, {})",
        run.dir,
        text(&run.engine),
        text(&run.settings),
        text(&run.date)
    )
}

/// Samples over each limit, of those that early stopping allows: TTFT, then TPOT.
fn margin(run: &Summary) -> String {
    let one = |limit: &ossmark_report::Limit| {
        let allowed = limit.allowed_over.map_or("-".into(), |n| n.to_string());
        limit
            .over
            .map_or("-".into(), |over| format!("{over}/{allowed}"))
    };
    match run.limits.is_empty() {
        true => "-".into(),
        false => run.limits.iter().map(one).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn figures_fit_a_terminal_and_each_run_says_where_it_is() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run");
        let mut run = below(&fixture).unwrap().remove(0);
        assert!(
            place(&run).contains("tests/fixtures/run"),
            "{}",
            place(&run)
        );
        run.tokens_per_s = Some(1_234_567.89);
        (run.scenario, run.mode) = (Some("interactive".into()), Some("performance".into()));
        (run.verdict, run.complete) = (Some("invalid".into()), false);
        let line = figures(&run);
        assert!(line.chars().count() <= 80, "{line}");
        for part in ["interactive performance", "invalid cut", "1,234,567.9"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}
