//! What is shown of a run, as data. Pure; everything from outside is escaped here.

use std::time::Duration;

use ossmark_files::Escaped;
use ossmark_record::State;
use ossmark_report::number::{count, span};
use serde_json::Value;

use crate::figures;
use crate::line::{Line, Tone, brief};
use crate::watched::Watched;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Samples that have ended.
    pub done: u64,
    /// Samples that there will be, where that is known.
    pub of: Option<u64>,
    /// Time that is left, where that can be judged.
    pub left: Option<Duration>,
}

impl Progress {
    /// From 0 to 1.
    pub fn share(&self) -> Option<f64> {
        let of = self.of.filter(|of| *of > 0)?;
        Some((self.done as f64 / of as f64).min(1.0))
    }
}

/// Everything that is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The run's directory.
    pub dir: String,
    /// What kind of run it is.
    pub what: String,
    /// Whether it goes on, and what came of it.
    pub state: Line,
    /// How far it is; none before its first sample and after its end.
    pub progress: Option<Progress>,
    /// What went wrong, the worst first.
    pub faults: Vec<Line>,
    /// Limits and figures.
    pub lines: Vec<Line>,
    /// Tokens of each of the last seconds.
    pub rates: Vec<f64>,
}

/// What is known of a run, for people. `quiet` is for how long nothing new was read, where somebody has looked for so long.
pub fn view(watched: &Watched, quiet: Option<Duration>) -> View {
    let going_on = watched.state == Some(State::GoingOn);
    let mut lines = figures::limits(watched);
    lines.extend(figures::all(watched));
    View {
        dir: Escaped::path(&watched.dir).to_string(),
        what: what(&watched.plan),
        state: state(watched, quiet),
        progress: (going_on && watched.pace.last().is_some()).then(|| progress(watched)),
        faults: figures::faults(watched),
        lines,
        rates: watched.pace.tokens_by_second(),
    }
}

fn what(plan: &Value) -> String {
    let word = |name: &str| plan.get(name).and_then(Value::as_str);
    let words: Vec<&str> = ["scenario", "mode"].into_iter().filter_map(word).collect();
    let engine = word("engine").map_or(String::new(), |engine| format!(", answered by {engine}"));
    match words.is_empty() {
        true => "A run without a plan that can be read".into(),
        false => brief(format_args!("{} run{engine}", words.join(" "))),
    }
}

fn progress(watched: &Watched) -> Progress {
    let done = watched.so_far.completed;
    let of = watched.expected;
    let left = of.zip(watched.pace.samples_per_s()).and_then(|(of, rate)| {
        let seconds = of.checked_sub(done).filter(|left| *left > 0)? as f64 / rate;
        Duration::try_from_secs_f64(seconds.round()).ok()
    });
    Progress { done, of, left }
}

/// After so long without a line of the timeline, which has one a second.
const QUIET: Duration = Duration::from_secs(5);

fn state(watched: &Watched, quiet: Option<Duration>) -> Line {
    let line = |tone, text: String| Line::new("", tone, text);
    if let (Some(verdict), false) = (&watched.verdict, watched.state == Some(State::GoingOn)) {
        let settings = match verdict.settings.as_deref() {
            Some("official") => "official settings",
            _ => "a test: not the round's settings",
        };
        let cut = match watched.state {
            Some(State::Cut) => ", and its record was not closed",
            _ => "",
        };
        let reason = verdict
            .reasons
            .first()
            .map_or("no reason is given", String::as_str);
        return match verdict.verdict.as_deref() {
            Some("valid") => line(Tone::Good, format!("ended: valid ({settings}){cut}")),
            Some(_) => line(
                Tone::Bad,
                format!("ended: invalid ({settings}){cut}: {reason}"),
            ),
            None => line(
                Tone::Warn,
                format!("ended{cut}: verdict.json has no verdict"),
            ),
        };
    }
    let at = watched.pace.last().map(|second| second.t_s);
    let since = at.map_or(String::new(), |s| format!(" after {}", span(s)));
    match watched.state {
        Some(State::GoingOn) => match (quiet.filter(|quiet| *quiet >= QUIET), at) {
            (Some(quiet), Some(_)) => line(
                Tone::Warn,
                format!(
                    "goes on, and has said nothing for {}{since}",
                    span(quiet.as_secs_f64())
                ),
            ),
            (_, Some(s)) => line(Tone::Plain, format!("goes on since {}", span(s))),
            (_, None) => line(Tone::Plain, "begins: no sample was issued yet".into()),
        },
        Some(State::Cut) => line(
            Tone::Bad,
            format!(
                "was cut{since}: its record was not closed, and up to a second of it is missing"
            ),
        ),
        // Its answers are scored, not judged.
        Some(State::Ended) if watched.plan.get("mode").and_then(Value::as_str) == Some("infer") => {
            line(Tone::Plain, format!("ended{since}"))
        }
        Some(State::Ended) => line(
            Tone::Plain,
            format!("ended{since}; there is no verdict yet"),
        ),
        None if watched.is_run() => line(
            Tone::Warn,
            "there is no record of this run, and no verdict".into(),
        ),
        None => line(Tone::Plain, "nothing of a run is there yet".into()),
    }
}

/// A share of samples, in words.
pub(crate) fn done(progress: &Progress) -> String {
    let of = progress
        .of
        .map_or(String::new(), |of| format!(" of {}", count(of)));
    let left = match progress.left {
        Some(left) => format!(", about {} left", span(left.as_secs_f64())),
        None => String::new(),
    };
    format!("{}{of} samples{left}", count(progress.done))
}
