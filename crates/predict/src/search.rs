//! The highest load that passes: which run comes next, and what is known after it. Pure: whoever drives it runs them.
//!
//! Short probes first, each at the load at which the model thinks it is at the limits. Each corrects the model: for either
//! limit, by how much everything would have to be slower for the prediction of that very probe to be what was measured. Then at
//! most a few runs of official length, which correct it too; a load that passed is run again before it is called the highest.
//!
//! All that was decided and measured is in the state, in whole numbers and decimals that a text gives back exactly: a search
//! that is read again goes on as if it had never stopped.

mod estimate;
mod trial;

use serde::{Deserialize, Serialize};

use crate::outcome::{Outcome, decimals};
use estimate::Estimate;
pub use trial::{Length, Run, Settings, Simulator, Trial};

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// This run.
    Run(Run),
    /// Nothing.
    Done(Found),
}

/// Why a search is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The load passed as often as was asked for.
    Passed,
    /// There are no runs of official length left.
    NoRunsLeft,
    /// The time is spent.
    Budget,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The highest load that was VALID at official length; none: none was.
    pub target_qps: Option<f64>,
    /// Whether it was so as often as was asked for.
    pub confirmed: bool,
    /// Where the true limit lies: the load at which half of the runs of official length pass. An end that is the lowest or
    /// highest load that was looked at says nothing of what is beyond.
    pub interval: [f64; 2],
    /// How often such intervals are right.
    pub confidence: f64,
    /// Runs of official length that it took.
    pub official_runs: u32,
    /// Why it ended.
    pub ended: Ended,
}

/// A search as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    settings: Settings,
    /// What the model thought before any run.
    predicted_qps: f64,
    /// Seconds that a sample at the limits takes.
    sample_s: f64,
    trials: Vec<Trial>,
    /// Decided on; perhaps begun, perhaps over.
    pending: Option<Run>,
}

/// Of the intervals that are told.
const CONFIDENCE: f64 = 0.9;
/// A load that failed is not far from the limit, and those right below it are no better.
const BELOW_FAILED: f64 = 0.994;
/// How far below a run that was ended before its time the limit is looked for: it says no more of it.
const BELOW_HOPELESS: f64 = 0.95;
/// By how much a load must be higher for a run of official length.
const WORTH_A_RUN: f64 = 1.01;
/// A probe is this much longer than a sample takes: what fills up in the beginning is then a small part of it.
const SAMPLES_IN_A_ROW: f64 = 5.0;

impl Search {
    /// Begins: the model says where.
    pub fn new(settings: Settings, simulator: &impl Simulator) -> Self {
        let predicted_qps = estimate::highest(&settings, simulator, [1.0; 2]);
        let outcome = simulator.outcome(predicted_qps, Length::Official, 1.0);
        let tokens = outcome.output_tokens as f64 / outcome.samples.max(1) as f64;
        let limits = &settings.limits;
        let sample_ns = limits.ttft_ns as f64 + limits.tpot_ns as f64 * tokens;
        Self {
            settings,
            predicted_qps,
            sample_s: decimals(sample_ns / 1e9),
            trials: Vec::new(),
            pending: None,
        }
    }

    /// What it was begun with: a search with other settings is another search.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The runs that were made, in order.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// What comes next. The same until that run is [completed](Self::complete); keep the state before it is begun.
    pub fn next(&mut self, simulator: &impl Simulator) -> Next {
        if let Some(run) = self.pending {
            return Next::Run(run);
        }
        match self.decide(simulator) {
            Ok((target_qps, length)) => {
                let run = Run {
                    number: self.trials.len(),
                    target_qps: self.within(target_qps),
                    length,
                };
                self.pending = Some(run);
                Next::Run(run)
            }
            Err(ended) => Next::Done(self.found(ended)),
        }
    }

    /// Takes in what became of the run that came next. `whole`: it was not ended before its time. Without a run that is
    /// waited for it changes nothing.
    pub fn complete(
        &mut self,
        measured: Outcome,
        valid: bool,
        whole: bool,
        simulator: &impl Simulator,
    ) {
        let Some(run) = self.pending.take() else {
            return;
        };
        let predicted = simulator.outcome(run.target_qps, run.length, 1.0);
        let slower = whole.then(|| estimate::slower(simulator, &run, &measured));
        self.trials.push(Trial {
            run,
            measured,
            valid,
            predicted,
            slower,
            highest_qps: slower.map(|slower| estimate::highest(&self.settings, simulator, slower)),
        });
    }

    fn within(&self, target_qps: f64) -> f64 {
        let Settings {
            lowest_qps,
            highest_qps,
            ..
        } = self.settings;
        decimals(target_qps).clamp(lowest_qps, highest_qps)
    }

    fn estimate(&self) -> Estimate {
        let model = || Estimate::of_model(self.predicted_qps);
        let estimate = Estimate::of_trials(&self.trials).unwrap_or_else(model);
        Estimate {
            qps: estimate.qps.min(self.below_hopeless()),
            ..estimate
        }
    }

    /// What is left to try below the runs that were ended before their time.
    fn below_hopeless(&self) -> f64 {
        let hopeless = self.trials.iter().filter(|trial| trial.slower.is_none());
        let loads = hopeless.map(|trial| trial.run.target_qps);
        loads.fold(f64::INFINITY, f64::min) * BELOW_HOPELESS
    }

    fn official(&self) -> impl Iterator<Item = &Trial> {
        let official = |trial: &&Trial| trial.run.length == Length::Official;
        self.trials.iter().filter(official)
    }

    /// The highest load that passed and did not fail as well, with how often it passed.
    fn passed(&self) -> Option<(f64, u32)> {
        let failed = self.lowest_failed();
        let loads = self.official().filter(|trial| trial.valid);
        let highest = loads
            .map(|trial| trial.run.target_qps)
            .filter(|qps| *qps < failed)
            .max_by(f64::total_cmp)?;
        let times = self
            .official()
            .filter(|trial| trial.valid && trial.run.target_qps == highest);
        Some((highest, times.count() as u32))
    }

    /// What is left to try below the loads that failed.
    fn below_failed(&self) -> f64 {
        self.lowest_failed() * BELOW_FAILED
    }

    fn lowest_failed(&self) -> f64 {
        let failed = self.official().filter(|trial| !trial.valid);
        let loads = failed.map(|trial| trial.run.target_qps);
        loads.fold(f64::INFINITY, f64::min)
    }

    fn decide(&self, simulator: &impl Simulator) -> Result<(f64, Length), Ended> {
        let settings = &self.settings;
        let passed = self.passed();
        let wanted = if settings.confirm { 2 } else { 1 };
        if passed.is_some_and(|(_, times)| times >= wanted) {
            return Err(Ended::Passed);
        }
        let official = self.official().count() as u32;
        if official >= settings.official_runs {
            return Err(Ended::NoRunsLeft);
        }
        let spent_ns: i64 = self
            .trials
            .iter()
            .map(|trial| trial.measured.ended_ns)
            .sum();
        if settings
            .budget_s
            .is_some_and(|budget| spent_ns / 1_000_000_000 >= budget as i64)
        {
            return Err(Ended::Budget);
        }
        let estimate = self.estimate();
        if official == 0 && !self.probed_enough(&estimate) {
            let long_enough = settings.probe_samples as f64 / estimate.qps;
            let seconds = long_enough.max(SAMPLES_IN_A_ROW * self.sample_s);
            let length = Length::Probe((seconds * 1e3).ceil() as u64);
            let target_qps = estimate::probe_qps(settings, simulator, estimate.slower, length);
            return Ok((target_qps.min(self.below_hopeless()), length));
        }
        let next = estimate
            .cautious(settings.highest_qps)
            .min(self.below_failed());
        let target_qps = match passed {
            // Should the higher one fail, there is a run left to confirm this one; should it pass, to confirm that.
            Some((qps, _))
                if next > qps * WORTH_A_RUN && settings.official_runs - official >= 2 =>
            {
                next
            }
            Some((qps, _)) => qps,
            None => next,
        };
        Ok((target_qps, Length::Official))
    }

    fn probed_enough(&self, estimate: &Estimate) -> bool {
        let precision = self.settings.precision;
        // The last one says what all say: it was made where the limit is now thought to be.
        let said = self.trials.last().and_then(|trial| trial.highest_qps);
        let settled = said.is_some_and(|qps| (estimate.qps / qps).ln().abs() <= precision);
        let made = self.trials.len() as u32;
        made >= self.settings.probes || (made >= 2 && settled && estimate.half <= precision)
    }

    fn found(&self, ended: Ended) -> Found {
        let passed = self.passed();
        let [mut low, mut high] = self.estimate().interval();
        if let Some((qps, _)) = passed {
            (low, high) = (low.min(qps), high.max(qps));
        }
        Found {
            target_qps: passed.map(|(qps, _)| qps),
            confirmed: ended == Ended::Passed,
            interval: [self.within(low), self.within(high)],
            confidence: CONFIDENCE,
            official_runs: self.official().count() as u32,
            ended,
        }
    }
}
