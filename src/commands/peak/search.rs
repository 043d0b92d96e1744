//! Server and Interactive: drives the search of `crates/predict` with real runs.

use std::cell::RefCell;
use std::ffi::OsString;
use std::rc::Rc;

use anyhow::{Result, bail};
use ossmark_predict::{Found, Length, Next, Outcome, Query, Run, Search, Settings, Simulator};
use ossmark_report::number::shown;

use super::asked::Asked;
use super::calibrate::calibrate;
use super::runs::{Made, Runs};
use super::state::State;
use crate::cli::PeakArgs;
use crate::generator::engine_plan::EnginePlan;
use crate::run::serving::{Serving, six_digits};
use crate::terminal::{progress, say};

/// Probes end when the limit is known to so much of it.
const PRECISION: f64 = 0.01;
/// Samples from which it is told what can be served at most.
const FOR_THE_RATE: usize = 4096;

/// Where it ended.
pub(super) struct Searched {
    pub(super) search: Search,
    pub(super) found: Found,
}

/// The name of a run.
pub(super) fn name(run: &Run) -> String {
    let kind = match run.length {
        Length::Probe(_) => "probe",
        Length::Official => "official",
    };
    format!("{:02}-{kind}", run.number + 1)
}

/// Searches, or goes on with it.
pub(super) fn search(
    args: &PeakArgs,
    asked: &Asked,
    runs: &Runs,
    state: &mut State,
) -> Result<Searched> {
    let serving = serving(asked, runs, state)?;
    let mut search = match state.known.search.take() {
        Some(search) => search,
        None => begin(args, asked, &serving)?,
    };
    let simulated = Simulated {
        asked,
        serving: &serving,
        limits: search.settings().limits,
        schedule: RefCell::new(None),
    };
    loop {
        let next = search.next(&simulated);
        keep(state, &search)?;
        let run = match next {
            Next::Run(run) => run,
            Next::Done(found) => return Ok(Searched { search, found }),
        };
        progress!(
            "peak: {} at {} queries/s ...",
            name(&run),
            shown(run.target_qps)
        );
        let conf = asked.conf_of(run.target_qps, run.length);
        // Probes are meant to come near the limits.
        let more: Vec<OsString> = match run.length {
            Length::Official => vec!["--stop-hopeless".into()],
            Length::Probe(_) => Vec::new(),
        };
        let made = runs.make(&name(&run), &conf, &more)?;
        let measured = Outcome::of(&made.rows, &simulated.limits);
        let whole = !made.is_hopeless && measured.unanswered == 0;
        search.complete(measured, made.is_valid(), whole, &simulated);
        keep(state, &search)?;
        tell(&run, &made, &measured, &simulated);
    }
}

fn keep(state: &mut State, search: &Search) -> Result<()> {
    state.known.search = Some(search.clone());
    state.write()
}

/// What is known of who answers.
fn serving(asked: &Asked, runs: &Runs, state: &mut State) -> Result<Serving> {
    if let EnginePlan::Echo(script) = &asked.plan.engine {
        let max_new_tokens = asked.plan.template.max_new_tokens;
        return Ok(Serving::of_script(script, max_new_tokens));
    }
    let known = state.known.calibration.clone();
    let calibration = match known {
        Some(calibration) => calibration,
        None => {
            let calibration = calibrate(asked, runs)?;
            state.known.calibration = Some(calibration.clone());
            state.write()?;
            calibration
        }
    };
    Ok(Serving::Steps(calibration))
}

fn begin(args: &PeakArgs, asked: &Asked, serving: &Serving) -> Result<Search> {
    if let Some(qps) = args.highest_qps
        && !(0.001..=1e6).contains(&qps)
    {
        bail!("--highest-qps {qps}: expected queries a second between 0.001 and 1000000");
    }
    let samples = asked.some_samples(FOR_THE_RATE);
    let rows = serving.rows(&samples, &asked.plan.prompt_tokens, 1.0);
    let ended = rows.iter().filter_map(|row| row.completed_ns).max();
    let seconds = ended.unwrap_or(1).max(1) as f64 / 1e9;
    let most = samples.len() as f64 / seconds;
    let highest = match args.highest_qps {
        Some(qps) => qps,
        None if serving.has_no_limit() => bail!(
            "the echo engine serves any number of requests at once, so that no load is too high for it; give --echo-slots, or \
             --highest-qps to look no higher than that"
        ),
        None => 2.0 * most,
    };
    let lowest = match serving.has_no_limit() {
        true => highest / 1000.0,
        false => (most / 200.0).min(highest / 2.0),
    };
    // As many as a run near the highest load that can be has.
    let official = asked.queries(most.min(highest), Length::Official).len() as u64;
    let settings = Settings {
        limits: asked.limits(official)?,
        lowest_qps: six_digits(lowest),
        highest_qps: six_digits(highest),
        official_runs: args.official_runs,
        confirm: !args.no_confirm,
        probes: args.probes,
        probe_samples: u64::from(args.probe_samples),
        precision: PRECISION,
        budget_s: args.budget,
    };
    let simulated = Simulated {
        asked,
        serving,
        limits: settings.limits,
        schedule: RefCell::new(None),
    };
    Ok(Search::new(settings, &simulated))
}

type Schedule = (f64, Length, Rc<[Query]>);

/// Runs as the model has them.
struct Simulated<'a> {
    asked: &'a Asked,
    serving: &'a Serving,
    limits: ossmark_predict::Limits,
    /// Of the load and length that were asked for last: the same are asked for again and again.
    schedule: RefCell<Option<Schedule>>,
}

impl Simulated<'_> {
    fn queries(&self, target_qps: f64, length: Length) -> Rc<[Query]> {
        let mut kept = self.schedule.borrow_mut();
        if let Some((qps, of, queries)) = &*kept
            && (*qps, *of) == (target_qps, length)
        {
            return Rc::clone(queries);
        }
        let queries: Rc<[Query]> = self.asked.queries(target_qps, length).into();
        *kept = Some((target_qps, length, Rc::clone(&queries)));
        queries
    }
}

impl Simulator for Simulated<'_> {
    fn outcome(&self, target_qps: f64, length: Length, slower: f64) -> Outcome {
        let queries = self.queries(target_qps, length);
        let prompts = &self.asked.plan.prompt_tokens;
        let rows = self.serving.rows(&queries, prompts, slower);
        Outcome::of(&rows, &self.limits)
    }
}

fn tell(run: &Run, made: &Made, measured: &Outcome, simulated: &Simulated<'_>) {
    let result = match (made.is_hopeless, made.is_valid()) {
        (true, _) => "ended: it could not become VALID any more",
        (false, true) => "VALID",
        (false, false) => "not VALID",
    };
    let predicted = simulated.outcome(run.target_qps, run.length, 1.0);
    let ms = |ns: i64| shown(ns as f64 / 1e6);
    let [ttft, tpot] = measured.percentile_ns;
    let [thought_ttft, thought_tpot] = predicted.percentile_ns;
    say!(
        "{:<12} {:>10} queries/s: {result}; {} samples, TTFT {} ms (the model: {}), TPOT {} ms ({})",
        name(run),
        shown(run.target_qps),
        measured.samples,
        ms(ttft),
        ms(thought_ttft),
        ms(tpot),
        ms(thought_tpot)
    );
}
