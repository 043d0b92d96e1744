//! What is told of a search: lines on the terminal, its JSON, its page, the user.conf that passed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ossmark_files::Escaped;
use ossmark_predict::{Ended, Length, Trial};
use ossmark_report::number::{shown, span};
use ossmark_report::{Peak, PeakRun, peak_page};
use serde::Serialize;

use super::asked::Asked;
use super::offline;
use super::runs::{Made, Runs};
use super::search::{Searched, name};
use super::state::State;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::{say, text::counted};

/// What was found; the names are the JSON's.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    scenario: &'static str,
    /// The highest load that was VALID at official length; in Offline the one that the result was measured with.
    target_qps: Option<f64>,
    tokens_per_s: Option<f64>,
    samples_per_s: Option<f64>,
    /// Where the true limit lies; null in Offline, which has none.
    interval: Option<[f64; 2]>,
    confidence: Option<f64>,
    official_runs: u32,
    /// Whether it passed as often as was asked for.
    confirmed: bool,
    ended: Ended,
    /// Of the run: official, or test.
    settings: Option<String>,
    /// Every run, those of official length too.
    probes: Vec<Probe>,
    /// The run that it was found with.
    run: Option<PathBuf>,
    user_conf: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Probe {
    target_qps: f64,
    duration_s: f64,
    result: String,
    run: PathBuf,
    /// Of official length, or short.
    official: bool,
    /// The percentiles of the limits, and what the model thought of them before any run.
    ttft_ms: Option<f64>,
    tpot_ms: Option<f64>,
    predicted_ttft_ms: Option<f64>,
    predicted_tpot_ms: Option<f64>,
    /// The highest load that passes, by this run.
    says_qps: Option<f64>,
}

/// The names of what is written beside the runs.
const USER_CONF: &str = "user.conf";
const PAGE: &str = "report.html";

/// The run, if there is one, with the load that it was made at.
struct Best<'a> {
    made: &'a Made,
    target_qps: f64,
    conf: String,
}

impl Told {
    /// Of Server and Interactive; writes the user.conf and the page.
    pub(super) fn of_search(
        asked: &Asked,
        runs: &Runs,
        dir: &Path,
        searched: &Searched,
    ) -> Result<Self> {
        let found = &searched.found;
        let trials = searched.search.trials();
        let best = trials.iter().rev().find(|trial| {
            trial.valid
                && trial.run.length == Length::Official
                && Some(trial.run.target_qps) == found.target_qps
        });
        let made = best.map(|trial| runs.read(&name(&trial.run))).transpose()?;
        let best = best.zip(made.as_ref()).map(|(trial, made)| Best {
            made,
            target_qps: trial.run.target_qps,
            conf: asked.conf_of(trial.run.target_qps, Length::Official),
        });
        let probes = trials.iter().map(|trial| probe(trial, dir)).collect();
        let mut told = Self::new(asked, dir, best.as_ref(), probes)?;
        told.interval = Some(found.interval);
        told.confidence = Some(found.confidence);
        told.official_runs = found.official_runs;
        told.confirmed = found.confirmed;
        told.ended = found.ended;
        let limits = searched.search.settings().limits;
        let limits_ms = [limits.ttft_ns, limits.tpot_ns].map(|ns| ns as f64 / 1e6);
        let runs = trials.iter().map(shown_run).collect();
        told.write_page(dir, Some(limits_ms), runs)?;
        Ok(told)
    }

    /// Of Offline, likewise.
    pub(super) fn of_offline(
        asked: &Asked,
        runs: &Runs,
        dir: &Path,
        state: &State,
        last: Option<&Made>,
    ) -> Result<Self> {
        let rates = state.known.offline.clone().unwrap_or_default();
        let mut probes = Vec::new();
        let mut page = Vec::new();
        let official = rates.official.iter().enumerate();
        let names = std::iter::once((offline::PROBE.to_owned(), 1.0, false))
            .chain(official.map(|(n, qps)| (offline::name(n), *qps, true)));
        for (name, target_qps, official) in names {
            // One that was decided on and not made, for want of time, is not there.
            if !dir.join(&name).join("verdict.json").exists() {
                continue;
            }
            let made = runs.read(&name)?;
            let rate = made.metric("samples_per_second").unwrap_or(0.0);
            let seconds = made.rows.len() as f64 / rate.max(f64::MIN_POSITIVE);
            page.push(PeakRun {
                name: name.clone(),
                target_qps,
                samples: made.rows.len() as u64,
                seconds,
                result: made.loadgen_says().to_owned(),
                says_qps: Some(rate),
                ..PeakRun::default()
            });
            probes.push(Probe {
                target_qps,
                duration_s: seconds,
                result: made.loadgen_says().to_owned(),
                run: dir.join(&name),
                official,
                ttft_ms: None,
                tpot_ms: None,
                predicted_ttft_ms: None,
                predicted_tpot_ms: None,
                says_qps: Some(rate),
            });
        }
        let made = probes.iter().filter(|probe| probe.official).count();
        let load = made.checked_sub(1).and_then(|n| rates.official.get(n));
        let valid = last.filter(|made| made.is_valid());
        let best = valid.zip(load).map(|(made, target_qps)| Best {
            made,
            target_qps: *target_qps,
            conf: asked.conf_with(&[("target_qps", target_qps.to_string())]),
        });
        let mut told = Self::new(asked, dir, best.as_ref(), probes)?;
        told.official_runs = u32::try_from(made).unwrap_or(u32::MAX);
        told.confirmed = best.is_some();
        told.ended = match best {
            Some(_) => Ended::Passed,
            None => Ended::NoRunsLeft,
        };
        told.write_page(dir, None, page)?;
        Ok(told)
    }

    fn new(asked: &Asked, dir: &Path, best: Option<&Best<'_>>, probes: Vec<Probe>) -> Result<Self> {
        let user_conf = match best {
            Some(best) => {
                let file = dir.join(USER_CONF);
                output::write_whole(&file, best.conf.as_bytes())?;
                Some(file)
            }
            None => None,
        };
        Ok(Self {
            scenario: asked.plan.scenario.name(),
            target_qps: best.map(|best| best.target_qps),
            tokens_per_s: best.and_then(|best| best.made.metric("tokens_per_second")),
            samples_per_s: best.and_then(|best| best.made.metric("samples_per_second")),
            interval: None,
            confidence: None,
            official_runs: 0,
            confirmed: false,
            ended: Ended::NoRunsLeft,
            settings: best.map(|best| best.made.settings().to_owned()),
            probes,
            run: best.map(|best| best.made.dir.clone()),
            user_conf,
        })
    }

    fn write_page(
        &self,
        dir: &Path,
        limits_ms: Option<[f64; 2]>,
        runs: Vec<PeakRun>,
    ) -> Result<()> {
        let notices = match self.settings.as_deref() {
            Some("official") | None => Vec::new(),
            Some(_) => vec!["Runs with test settings: no result of MLPerf.".to_owned()],
        };
        let page = peak_page(&Peak {
            title: dir.display().to_string(),
            sentence: self.sentence(),
            is_found: self.is_good(),
            notices,
            target_qps: self.target_qps,
            interval: self.interval,
            limits_ms,
            runs,
        });
        output::write_whole(&dir.join(PAGE), page.as_bytes())
            .with_context(|| "the page of the search")
    }

    fn is_good(&self) -> bool {
        self.confirmed && self.target_qps.is_some()
    }

    fn sentence(&self) -> String {
        let Some(target_qps) = self.target_qps else {
            return format!("No run of official length was VALID ({}).", why(self.ended));
        };
        let rate = self
            .tokens_per_s
            .map_or_else(String::new, |rate| format!(", {} tokens/s", shown(rate)));
        let interval = match (self.interval, self.confidence) {
            (Some([low, high]), Some(confidence)) => format!(
                "; the true limit lies between {} and {} with {:.0}% confidence",
                shown(low),
                shown(high),
                100.0 * confidence
            ),
            _ => String::new(),
        };
        let how = match (self.scenario, self.confirmed) {
            ("offline", _) => "target_qps of the VALID run",
            (_, true) => "the highest load that passes",
            (_, false) => "the highest load that passed, not as often as was asked for",
        };
        format!(
            "{} queries/s: {how}{rate}{interval}. {} of official length, {} in all.",
            shown(target_qps),
            counted(u64::from(self.official_runs), "run"),
            span(self.probes.iter().map(|probe| probe.duration_s).sum())
        )
    }

    /// Prints it.
    pub(super) fn print(&self, dir: &Path) -> Outcome {
        say!("{}", self.sentence());
        if self.settings.as_deref() == Some("test") {
            say!("these are runs with test settings: see the deviations in their verdicts");
        }
        for (what, file) in [("run", &self.run), ("user.conf", &self.user_conf)] {
            if let Some(file) = file {
                say!("{what}: {}", Escaped::path(file));
            }
        }
        say!("written: {}", Escaped::path(&dir.join(PAGE)));
        match self.is_good() {
            true => Outcome::Good,
            false => Outcome::NotGood,
        }
    }
}

fn why(ended: Ended) -> &'static str {
    match ended {
        Ended::Passed => "it passed",
        Ended::NoRunsLeft => "there are no more of them",
        Ended::Budget => "the time is spent",
    }
}

fn result(trial: &Trial) -> &'static str {
    match (trial.slower.is_some(), trial.valid) {
        (false, _) => "ended: hopeless",
        (true, true) => "VALID",
        (true, false) => "INVALID",
    }
}

fn ms(ns: [i64; 2]) -> [f64; 2] {
    ns.map(|ns| ns as f64 / 1e6)
}

fn probe(trial: &Trial, dir: &Path) -> Probe {
    let [ttft, tpot] = ms(trial.measured.percentile_ns);
    let [thought_ttft, thought_tpot] = ms(trial.predicted.percentile_ns);
    Probe {
        target_qps: trial.run.target_qps,
        duration_s: trial.measured.ended_ns as f64 / 1e9,
        result: result(trial).to_owned(),
        run: dir.join(name(&trial.run)),
        official: trial.run.length == Length::Official,
        ttft_ms: Some(ttft),
        tpot_ms: Some(tpot),
        predicted_ttft_ms: Some(thought_ttft),
        predicted_tpot_ms: Some(thought_tpot),
        says_qps: trial.highest_qps,
    }
}

fn shown_run(trial: &Trial) -> PeakRun {
    PeakRun {
        name: name(&trial.run),
        target_qps: trial.run.target_qps,
        samples: trial.measured.samples,
        seconds: trial.measured.ended_ns as f64 / 1e9,
        result: result(trial).to_owned(),
        measured_ms: Some(ms(trial.measured.percentile_ns)),
        predicted_ms: Some(ms(trial.predicted.percentile_ns)),
        slower: trial.slower,
        says_qps: trial.highest_qps,
    }
}
