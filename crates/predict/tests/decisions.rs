//! What a search decides and tells, on a system whose latency grows with its load: at 100 queries/s it is at its limits, in a
//! probe at a tenth more.

use ossmark_predict::{Found, Length, Limits, Next, Outcome, Search, Settings, Simulator};

const LIMIT_NS: i64 = 1_000_000_000;

struct Line;

impl Simulator for Line {
    fn outcome(&self, target_qps: f64, length: Length, slower: f64) -> Outcome {
        let share = target_qps * slower / 100.0;
        let over = if share > 1.0 { 100 } else { 0 };
        let samples = match length {
            Length::Probe(ms) => (target_qps * ms as f64 / 1e3) as u64,
            Length::Official => 6396,
        };
        let seen = if length == Length::Official { 1.0 } else { 1.1 };
        let latency_ns = (share / seen * LIMIT_NS as f64) as i64;
        Outcome {
            samples,
            unanswered: 0,
            over: [over; 2],
            allowed_over: Some(40),
            percentile_ns: [latency_ns; 2],
            deciding_ns: [latency_ns; 2],
            ended_ns: 60_000_000_000,
            output_tokens: 100 * samples,
        }
    }
}

fn settings() -> Settings {
    Settings {
        limits: Limits::new(LIMIT_NS, LIMIT_NS, 0.99, 6396),
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

/// The search with runs of official length that are measured as `slower` as this and called VALID as `valid` says, by number.
fn told(slower: f64, valid: impl Fn(u32) -> bool) -> Found {
    let mut search = Search::new(settings(), &Line);
    let mut official = 0;
    loop {
        match search.next(&Line) {
            Next::Run(run) if run.length == Length::Official => {
                let measured = Line.outcome(run.target_qps, run.length, slower);
                search.complete(measured, valid(official), true, &Line);
                official += 1;
            }
            Next::Run(run) => {
                let measured = Line.outcome(run.target_qps, run.length, 1.0);
                search.complete(measured, false, true, &Line);
            }
            Next::Done(found) => return found,
        }
    }
}

#[test]
fn a_load_that_passed_and_failed_is_not_the_highest() {
    let found = told(1.0, |official| official == 0);
    assert_eq!((found.target_qps, found.confirmed), (None, false));
    let found = told(1.0, |_| true);
    assert!(found.confirmed, "{found:?}");
    assert!((found.target_qps.unwrap() / 100.0 - 1.0).abs() < 0.01);
}

/// Whatever the latencies say: what was VALID is not above the limit.
#[test]
fn the_interval_holds_the_load_that_passed() {
    for slower in [0.5, 1.0, 2.0] {
        let found = told(slower, |_| true);
        let [low, high] = found.interval;
        let qps = found.target_qps.unwrap();
        assert!(low <= qps && qps <= high, "{slower}: {found:?}");
    }
}

/// It is measured at the latencies that decide, which a short run has at a higher load.
#[test]
fn a_probe_comes_as_near_to_the_limits_as_a_run_of_official_length() {
    let Next::Run(run) = Search::new(settings(), &Line).next(&Line) else {
        panic!("nothing was run");
    };
    assert!(matches!(run.length, Length::Probe(_)));
    assert!((run.target_qps / 110.0 - 1.0).abs() < 0.002, "{run:?}");
}
