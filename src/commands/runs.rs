//! `ossmark runs`: the runs below a directory, a line each.

use anyhow::{Context, Result};
use ossmark_files::Escaped;
use ossmark_report::{Kind, Summary, runs as below};

use crate::children;
use crate::cli::{RunsArgs, SettingsArg, VerdictArg};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::say;

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
        "{:<20} {:<11} {:<11} {:<8} {:<8} {:<10} {:>11} {:>9} {:>9}  {:<13} run",
        "date",
        "scenario",
        "mode",
        "engine",
        "settings",
        "verdict",
        "tokens/s",
        "p99 TTFT",
        "p99 TPOT",
        "margin"
    );
    for run in runs {
        let text = |text: &Option<String>| text.clone().unwrap_or("-".into());
        let p99 = |kind: Kind| {
            let limit = run.limits.iter().find(|limit| limit.name == kind);
            limit
                .and_then(|limit| limit.p99_ms)
                .map_or("-".into(), |ms| format!("{ms:.1} ms"))
        };
        let verdict = match run.complete {
            true => text(&run.verdict),
            false => format!("{} cut", text(&run.verdict)),
        };
        say!(
            "{:<20} {:<11} {:<11} {:<8} {:<8} {:<10} {:>11} {:>9} {:>9}  {:<13} {}",
            text(&run.date),
            text(&run.scenario),
            text(&run.mode),
            text(&run.engine),
            text(&run.settings),
            verdict,
            run.tokens_per_s
                .map_or("-".into(), |rate| format!("{rate:.1}")),
            p99(Kind::Ttft),
            p99(Kind::Tpot),
            margin(run),
            run.dir
        );
    }
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
