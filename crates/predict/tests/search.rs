//! The search for the highest load that passes, on a virtual clock: systems whose true limit a scan knows, models that are
//! wrong, noise, kills.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::rc::Rc;

use ossmark_predict::{
    BatchLimits, Batching, Ended, Found, Length, Lengths, Limits, Model, Next, Outcome, Plan,
    Query, Run, Search, Seeds, Service, Settings, Simulator, Slots, server, simulate,
};
use ossmark_record::Row;
use rand_mt::Mt64;

const MS: i64 = 1_000_000;

/// A system: by its service, or by its steps.
#[derive(Clone, Copy)]
enum System {
    /// So many at once; to the first token and per token.
    Slots(usize, [f64; 2]),
    Batching(Model, BatchLimits),
}

type Schedule = (f64, Length, Rc<[Query]>);

struct World {
    system: System,
    limits: Limits,
    /// Standard deviation of service times, as a share of them.
    noise: f64,
    /// Of the load and length that were asked for last.
    schedule: RefCell<Option<Schedule>>,
}

fn queries(target_qps: f64, length: Length) -> Vec<Query> {
    let (min_duration_ms, min_query_count) = match length {
        Length::Probe(ms) => (ms, 1),
        Length::Official => (20_000, OFFICIAL),
    };
    server(&Plan {
        target_qps,
        min_duration_ms,
        min_query_count,
        loaded_samples: NonZeroU32::new(100).unwrap(),
        equal_issue: true,
        issue_unique: false,
        seeds: Seeds {
            qsl: 1,
            sample_index: 2,
            schedule: 3,
        },
    })
}

const OFFICIAL: u64 = 3000;

fn lengths(query: &Query) -> Lengths {
    Lengths {
        prompt: 20 + query.sample * 37 % 80,
        output: 10 + query.sample * 53 % 40,
    }
}

impl World {
    fn new(system: System, limits: Limits, noise: f64) -> Self {
        Self {
            system,
            limits,
            noise,
            schedule: RefCell::new(None),
        }
    }

    fn queries(&self, target_qps: f64, length: Length) -> Rc<[Query]> {
        let mut kept = self.schedule.borrow_mut();
        if let Some((qps, of, queries)) = &*kept
            && (*qps, *of) == (target_qps, length)
        {
            return Rc::clone(queries);
        }
        let queries: Rc<[Query]> = queries(target_qps, length).into();
        *kept = Some((target_qps, length, Rc::clone(&queries)));
        queries
    }

    fn run(&self, target_qps: f64, length: Length, slower: f64, seed: u64) -> Outcome {
        let queries = self.queries(target_qps, length);
        let mut random = Mt64::new(seed);
        let mut noise = || {
            // The sum of twelve is near enough to a bell.
            let uniform = |_| (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            let bell = (0..12).map(uniform).sum::<f64>() - 6.0;
            slower * (1.0 + self.noise * bell).max(0.1)
        };
        let rows = match self.system {
            System::Slots(slots, [first_s, token_s]) => {
                let service = |_: &Row| {
                    let times = if self.noise > 0.0 { noise() } else { slower };
                    Service {
                        ttft_ns: (first_s * times * 1e9) as i64,
                        tpot_ns: (token_s * times * 1e9) as i64,
                    }
                };
                simulate(&mut Slots::new(slots, service), &queries, lengths)
            }
            System::Batching(model, limits) => simulate(
                &mut Batching::new(model.slower(slower), limits),
                &queries,
                lengths,
            ),
        };
        Outcome::of(&rows, &self.limits)
    }

    /// The highest load of a scan in steps of a quarter of a percent that is VALID at official length, near `qps`.
    fn scan(&self, qps: f64) -> f64 {
        let mut loads = (-12..13).rev().map(|step| qps * 1.0025_f64.powi(step));
        let valid = |qps: &f64| self.run(*qps, Length::Official, 1.0, 0).is_valid();
        loads.find(valid).unwrap()
    }
}

/// What is thought of a world: a system without noise.
impl Simulator for World {
    fn outcome(&self, target_qps: f64, length: Length, slower: f64) -> Outcome {
        self.run(target_qps, length, slower, 0)
    }
}

fn settings(limits: Limits) -> Settings {
    Settings {
        limits,
        lowest_qps: 1.0,
        highest_qps: 1000.0,
        official_runs: 3,
        confirm: true,
        probes: 5,
        probe_samples: 1000,
        precision: 0.01,
        budget_s: None,
    }
}

/// Runs what comes next until nothing does; `take` stands between the search and each next step.
fn search(
    world: &World,
    model: &World,
    seed: u64,
    mut take: impl FnMut(Search) -> Search,
) -> (Found, Search) {
    let mut search = Search::new(settings(world.limits), model);
    loop {
        search = take(search);
        let run = match search.next(model) {
            Next::Run(run) => run,
            Next::Done(found) => return (found, search),
        };
        search = take(search);
        let measured = world.run(
            run.target_qps,
            run.length,
            1.0,
            seed * 1000 + run.number as u64,
        );
        search.complete(measured, measured.is_valid(), true, model);
    }
}

const WIDE: BatchLimits = BatchLimits {
    max_seqs: 64,
    max_step_tokens: 512,
    max_chunk: 256,
};
const STEPS: Model = Model {
    step_s: 0.01,
    prefill_token_s: 2e-5,
    decode_row_s: 2e-4,
    context_s: 1e-6,
};

fn limits(ttft_ms: i64, tpot_ms: i64) -> Limits {
    Limits::new(ttft_ms * MS, tpot_ms * MS, 0.99, OFFICIAL)
}

/// System, the model of it, limits.
fn worlds() -> Vec<(&'static str, System, System, Limits)> {
    let fixed = System::Slots(16, [0.3, 0.0]);
    let tokens = System::Slots(32, [0.02, 0.01]);
    let steps = System::Batching(STEPS, WIDE);
    let faster = System::Batching(STEPS.slower(0.7), WIDE);
    let flat = Model {
        context_s: 0.0,
        decode_row_s: 3e-4,
        ..STEPS
    };
    let few = BatchLimits {
        max_seqs: 12,
        ..WIDE
    };
    vec![
        ("fixed times, right model", fixed, fixed, limits(900, 80)),
        (
            "fixed times, model 30% too fast",
            fixed,
            System::Slots(16, [0.21, 0.0]),
            limits(900, 80),
        ),
        (
            "fixed times, model half as fast",
            fixed,
            System::Slots(16, [0.6, 0.0]),
            limits(900, 80),
        ),
        ("times per token", tokens, tokens, limits(500, 80)),
        (
            "times per token, model of other proportions",
            tokens,
            System::Slots(32, [0.04, 0.008]),
            limits(500, 80),
        ),
        ("a batch, limit per token", steps, steps, limits(3000, 20)),
        (
            "a batch, limit per token, model too fast",
            steps,
            faster,
            limits(3000, 20),
        ),
        (
            "a batch, limit per token, model of another shape",
            steps,
            System::Batching(flat, WIDE),
            limits(3000, 20),
        ),
        (
            "few places, limit to the first token",
            System::Batching(STEPS, few),
            System::Batching(STEPS.slower(1.3), few),
            limits(400, 80),
        ),
    ]
}

#[test]
fn the_highest_load_is_found_within_two_percent() {
    for (name, system, thought, limits) in worlds() {
        let world = World::new(system, limits, 0.0);
        let model = World::new(thought, limits, 0.0);
        let (found, search) = search(&world, &model, 0, |search| search);
        let runs: Vec<_> = search
            .trials()
            .iter()
            .map(|t| (t.run, t.valid, t.highest_qps))
            .collect();
        let qps = found
            .target_qps
            .unwrap_or_else(|| panic!("{name}: {found:?} {runs:?}"));
        let truth = world.scan(qps);
        assert!(
            (qps / truth - 1.0).abs() < 0.02,
            "{name}: {qps}, truth {truth}, {runs:#?}"
        );
        assert!(
            found.confirmed && found.ended == Ended::Passed,
            "{name}: {found:?} {runs:#?}"
        );
        assert!(found.official_runs <= 3);
        let passed = |t: &&ossmark_predict::Trial| {
            t.valid && t.run.length == Length::Official && t.run.target_qps == qps
        };
        assert_eq!(search.trials().iter().filter(passed).count(), 2);
        assert!(
            found.interval[0] <= truth * 1.0025 && truth <= found.interval[1] * 1.0025,
            "{name}: {found:?} {truth}"
        );
    }
}

/// The load at which half of the runs of official length pass, with noise.
fn limit_with_noise(world: &World, near: f64) -> f64 {
    let passes = |qps: f64| {
        let valid = (0..101).filter(|seed| {
            let seed = 1_000_000 + seed;
            world.run(qps, Length::Official, 1.0, seed).is_valid()
        });
        valid.count() > 50
    };
    let (mut low, mut high) = (near * 0.96, near * 1.04);
    assert!(passes(low) && !passes(high), "{near}");
    while high / low > 1.002 {
        let middle = (low * high).sqrt();
        match passes(middle) {
            true => low = middle,
            false => high = middle,
        }
    }
    (low * high).sqrt()
}

/// As many repeats as `OSSMARK_SEARCH_REPEATS` says; 8 without. The seeds are fixed, so is what comes of them.
#[test]
fn with_noise_the_interval_holds_the_true_limit() {
    let repeats = std::env::var("OSSMARK_SEARCH_REPEATS").map_or(8, |n| n.parse().unwrap());
    let (system, limits) = (System::Slots(16, [0.02, 0.01]), limits(500, 80));
    let world = World::new(system, limits, 0.1);
    let model = World::new(System::Slots(16, [0.03, 0.009]), limits, 0.0);
    let truth = limit_with_noise(&world, 46.0);
    let (mut holds, mut near) = (0, 0);
    for seed in 1..=repeats {
        let (found, _) = search(&world, &model, seed, |search| search);
        let [low, high] = found.interval;
        let says_something = low > truth * 0.95 && high < truth * 1.05;
        assert!(says_something && found.official_runs <= 3, "{found:?}");
        holds += u64::from((low..=high).contains(&truth));
        near += u64::from(
            found
                .target_qps
                .is_some_and(|qps| (qps / truth - 1.0).abs() < 0.02),
        );
    }
    println!("{holds} hold {truth}, {near} near it, of {repeats}");
    assert!(
        holds * 10 >= repeats * 9 - 5 && near * 10 >= repeats * 9 - 5,
        "{holds}, {near} of {repeats}"
    );
}

/// Before and after every decision the state goes through a text several times, as through the file that a killed search
/// leaves: more than twenty kills.
#[test]
fn a_search_that_is_killed_at_every_step_ends_as_one_that_is_not() {
    let (_, system, thought, limits) = worlds().remove(4);
    let world = World::new(system, limits, 0.05);
    let model = World::new(thought, limits, 0.0);
    let (expected, whole) = search(&world, &model, 9, |search| search);
    let mut kills = 0;
    let (found, killed) = search(&world, &model, 9, |mut before| {
        for _ in 0..3 {
            kills += 1;
            let text = serde_json::to_string(&before).unwrap();
            let mut after: Search = serde_json::from_str(&text).unwrap();
            assert_eq!(after, before);
            // What was decided stays so, however often it is asked, and also by who thinks otherwise meanwhile.
            let next = before.next(&model);
            assert_eq!(after.next(&model), next);
            assert_eq!(after.next(&world), next);
            assert_eq!(after, before);
            before = after;
        }
        before
    });
    assert!(kills >= 20, "{kills}");
    assert_eq!(found, expected);
    assert_eq!(killed, whole);
    let numbers: Vec<usize> = killed
        .trials()
        .iter()
        .map(|trial| trial.run.number)
        .collect();
    assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>());
}

#[test]
fn where_nothing_passes_or_everything_does_the_ends_say_so() {
    // No limit on slots: the load changes nothing.
    let system = System::Slots(0, [0.02, 0.01]);
    for (ttft_ms, found_qps) in [(100, Some(1000.0)), (10, None)] {
        let limits = limits(ttft_ms, 80);
        let world = World::new(system, limits, 0.0);
        let (found, search) = search(&world, &world, 0, |search| search);
        assert_eq!(found.target_qps, found_qps, "{found:?}");
        match found_qps {
            Some(_) => assert!(found.confirmed && found.interval[1] == 1000.0, "{found:?}"),
            None => assert_eq!(
                (found.confirmed, found.interval[0]),
                (false, 1.0),
                "{found:?}"
            ),
        }
        assert!(found.official_runs <= 3 && search.trials().len() <= 8);
    }
}

/// Runs that were ended as hopeless say only that their load is too high; time that is spent begins no run.
#[test]
fn hopeless_runs_and_a_spent_budget() {
    let (_, system, _, limits) = worlds().remove(0);
    let world = World::new(system, limits, 0.0);
    // Thinks that it can take half as much again.
    let model = World::new(System::Slots(16, [0.2, 0.0]), limits, 0.0);
    let mut search = Search::new(settings(limits), &model);
    let found = loop {
        match search.next(&model) {
            Next::Run(run) => {
                let measured = world.run(run.target_qps, run.length, 1.0, 0);
                let valid = measured.is_valid();
                let whole = valid || run.length != Length::Official;
                search.complete(measured, valid, whole, &model);
            }
            Next::Done(found) => break found,
        }
    };
    let truth = world.scan(50.0);
    let loads: Vec<Run> = search.trials().iter().map(|trial| trial.run).collect();
    assert!(found.official_runs <= 3, "{loads:?}");
    let qps = found
        .target_qps
        .unwrap_or_else(|| panic!("{found:?} {loads:?}"));
    assert!(
        qps <= truth && qps > truth * 0.9,
        "{qps} of {truth}: {loads:?}"
    );
    for budget_s in [0, 30] {
        let settings = Settings {
            budget_s: Some(budget_s),
            ..settings(limits)
        };
        let mut search = Search::new(settings, &world);
        let mut runs = 0;
        let found = loop {
            match search.next(&world) {
                Next::Run(run) => {
                    runs += 1;
                    let measured = world.run(run.target_qps, run.length, 1.0, 0);
                    search.complete(measured, measured.is_valid(), true, &world);
                }
                Next::Done(found) => break found,
            }
        };
        assert_eq!(found.ended, Ended::Budget);
        assert_eq!((runs > 0, found.confirmed), (budget_s > 0, false));
    }
}

/// Whatever was measured, a load that failed is never run again, nor one right below it.
#[test]
fn loads_that_failed_are_left_behind() {
    let (_, system, _, limits) = worlds().remove(0);
    let world = World::new(system, limits, 0.0);
    let mut search = Search::new(settings(limits), &world);
    let found = loop {
        match search.next(&world) {
            Next::Run(run) => {
                let measured = world.run(run.target_qps, run.length, 1.0, 0);
                search.complete(measured, false, true, &world);
            }
            Next::Done(found) => break found,
        }
    };
    assert_eq!((found.target_qps, found.ended), (None, Ended::NoRunsLeft));
    let official = search.trials().iter().map(|trial| trial.run);
    let official: Vec<Run> = official
        .filter(|run| run.length == Length::Official)
        .collect();
    assert_eq!(official.len(), 3);
    for two in official.windows(2) {
        assert!(
            two[1].target_qps < two[0].target_qps * 0.995,
            "{official:?}"
        );
    }
    // Nothing is known of a probe that was ended before its time but that its load was too high.
    let mut search = Search::new(settings(limits), &world);
    let mut loads = Vec::new();
    for _ in 0..3 {
        let Next::Run(run) = search.next(&world) else {
            panic!("{loads:?}")
        };
        loads.push(run.target_qps);
        let measured = world.run(run.target_qps, run.length, 1.0, 0);
        search.complete(measured, false, false, &world);
    }
    assert!(loads[2] < loads[0] * 0.95, "{loads:?}");
}
