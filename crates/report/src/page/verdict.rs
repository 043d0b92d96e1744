//! What a page begins with: each run's verdict and margins, then the figures of all beside each other.

use super::Shown;
use super::speculation;
use super::table::{Cell, Table, plain};
use crate::limit::Limit;
use crate::number::count;

/// A run's verdict.
pub(super) struct Card {
    pub(super) letter: String,
    pub(super) dir: String,
    /// `valid`, `invalid` or `none`: what it looks like. The sentence says it in words.
    pub(super) kind: &'static str,
    pub(super) sentence: String,
    pub(super) notices: Vec<String>,
    pub(super) limits: Vec<Margin>,
    pub(super) reasons: Vec<String>,
    pub(super) faults: Vec<String>,
    pub(super) deviations: Vec<String>,
}

/// A limit.
pub(super) struct Margin {
    pub(super) name: &'static str,
    pub(super) p99: Cell,
    pub(super) limit: Cell,
    pub(super) over: Cell,
    pub(super) allowed: Cell,
    pub(super) sentence: String,
    /// Whether it was kept, in a word.
    pub(super) met: &'static str,
}

pub(super) fn card(shown: &Shown<'_>) -> Card {
    let figures = shown.figures;
    let texts = |texts: &[String]| listed(texts, |text| plain(text));
    let fault = |fault: &crate::said::Fault| {
        let times = match fault.count {
            0 | 1 => String::new(),
            n => format!("{n} times: "),
        };
        plain(format!("{}: {times}{}", fault.kind, fault.message))
    };
    Card {
        letter: shown.letter.clone(),
        dir: plain(&figures.summary.dir),
        kind: match figures.summary.verdict.as_deref() {
            Some("valid") => "valid",
            Some(_) => "invalid",
            None => "none",
        },
        sentence: plain(&figures.sentence),
        notices: texts(&figures.notices),
        limits: figures
            .summary
            .limits
            .iter()
            .map(|limit| margin(shown, limit))
            .collect(),
        // One reason stands in the sentence already.
        reasons: match figures.reasons.len() {
            0 | 1 => Vec::new(),
            _ => texts(&figures.reasons),
        },
        faults: listed(&figures.faults, fault),
        deviations: texts(&figures.deviations),
    }
}

/// Of a list that a file may make long; whatever is left out is counted.
const MOST: usize = 100;

fn listed<T>(all: &[T], text: impl Fn(&T) -> String) -> Vec<String> {
    let mut shown: Vec<String> = all.iter().take(MOST).map(text).collect();
    if all.len() > MOST {
        shown.push(format!("and {} more", count((all.len() - MOST) as u64)));
    }
    shown
}

fn margin(shown: &Shown<'_>, limit: &Limit) -> Margin {
    let name = limit.name.name();
    let figure = |part: &str| shown.name(&format!("{}.{part}", name.to_lowercase()));
    Margin {
        name,
        p99: Cell::maybe(figure("p99_ms"), limit.p99_ms, " ms"),
        limit: Cell::figure(figure("limit_ms"), limit.limit_ms, " ms"),
        over: Cell::maybe_count(figure("over"), limit.over),
        allowed: Cell::maybe_count(figure("allowed_over"), limit.allowed_over),
        sentence: format!("{name} {}", limit.margin()),
        met: match limit.met() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not known",
        },
    }
}

/// The figures of all runs, a column each.
pub(super) fn overview(shown: &[Shown<'_>]) -> Table {
    let mut head = vec!["Figure".to_owned()];
    head.extend(shown.iter().map(|one| match shown.len() {
        1 => "Value".to_owned(),
        _ => one.letter.clone(),
    }));
    let line = |label: &str, of: &dyn Fn(&Shown<'_>) -> Cell| {
        let mut line = vec![Cell::text(label)];
        line.extend(shown.iter().map(of));
        line
    };
    let text = |value: &Option<String>| Cell::text(value.as_deref().unwrap_or("–"));
    let mut lines = vec![
        line("Run", &|one| Cell::text(&one.figures.summary.dir)),
        line("Began (UTC)", &|one| {
            // As people write it, which also may be broken in the middle.
            let date = one.figures.summary.date.as_ref();
            text(&date.map(|date| date.replace('T', " ").replace('Z', "")))
        }),
        line("Scenario", &|one| text(&one.figures.summary.scenario)),
        line("Mode", &|one| text(&one.figures.summary.mode)),
        line("Answered by", &|one| text(&one.figures.summary.engine)),
        line("Verdict", &|one| text(&one.figures.summary.verdict)),
        line("Settings", &|one| text(&one.figures.summary.settings)),
        line("LoadGen's result", &|one| {
            text(&one.figures.summary.loadgen_result)
        }),
        line("Tokens/s (LoadGen)", &|one| {
            Cell::maybe(
                one.name("tokens_per_s"),
                one.figures.summary.tokens_per_s,
                "",
            )
        }),
        line("Samples completed", &|one| {
            Cell::maybe_count(one.name("samples"), one.figures.summary.samples)
        }),
        line("Output tokens", &|one| {
            Cell::maybe_count(one.name("output_tokens"), one.figures.summary.output_tokens)
        }),
        line("Mean output tokens", &|one| {
            Cell::maybe(
                one.name("mean_output_tokens"),
                one.figures.lengths.as_ref().map(|l| l.mean),
                "",
            )
        }),
        line("Steady part", &|one| match &one.figures.summary.steady {
            Some(part) => Cell::text(format!("{:.1} s to {:.1} s", part.from_s, part.to_s)),
            None => Cell::text("none"),
        }),
        line("Tokens/s of the steady part", &|one| {
            Cell::maybe(
                one.name("steady_tokens_per_s"),
                one.figures.summary.steady_tokens_per_s,
                "",
            )
        }),
        line("Draft head", &|one| text(&speculation::head(one))),
        line("Acceptance length", &|one| {
            let length = speculation::figure(one, "acceptance_length");
            Cell::maybe(one.name("acceptance_length"), length, " tokens a round")
        }),
        line("Steps saved", &|one| {
            let saved = speculation::figure(one, "steps_saved");
            Cell::maybe_count(one.name("steps_saved"), saved.map(|n| n as u64))
        }),
        line("Energy", &|one| {
            Cell::maybe(one.name("energy_j"), one.figures.summary.energy_j, " J")
        }),
        line("Tokens per joule", &|one| {
            let summary = &one.figures.summary;
            let joules = summary.energy_j.filter(|joules| *joules > 0.0);
            let per_joule = joules
                .zip(summary.output_tokens)
                .map(|(joules, tokens)| tokens as f64 / joules);
            Cell::maybe(one.name("tokens_per_j"), per_joule, "")
        }),
    ];
    // A line that no run has anything in says nothing.
    lines.retain(|line| line[1..].iter().any(|cell| cell.text != "–"));
    Table {
        caption: "The run in figures".into(),
        head,
        lines,
    }
}
