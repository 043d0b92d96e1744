//! `run --stop-hopeless`.

use std::time::Duration;

use serde_json::Value;

use crate::common::{Bench, SHORT_CONF, finish};

const LIMIT: Duration = Duration::from_secs(300);

/// A Server test of so long, at such a rate, with a limit on the time to the first token.
fn conf(permutations: bool, seconds: f64, qps: u32, ttft_ms: u32) -> String {
    let unequal = match permutations {
        true => "",
        false => "*.*.sample_concatenate_permutation = 0\n",
    };
    format!(
        "gpt-oss-120b.*.performance_sample_count_override = 64\n\
         *.Server.min_duration = {}\n\
         *.Server.target_qps = {qps}\n\
         *.Server.min_query_count = 1\n\
         gpt-oss-120b.Server.ttft_latency = {ttft_ms}\n\
         gpt-oss-120b.Server.tpot_latency = 60000\n{unequal}",
        seconds * 1e3
    )
}

const SLOW: [&str; 5] = [
    "--stop-hopeless",
    "--echo-ttft-ms",
    "80",
    "--echo-tpot-ms",
    "0.1",
];

#[track_caller]
fn cause(verdict: &Value) -> &str {
    assert_eq!(verdict["verdict"], "invalid", "{verdict:#}");
    assert_eq!(verdict["faults"][0]["kind"], "hopeless", "{verdict:#}");
    verdict["faults"][0]["message"].as_str().unwrap()
}

#[test]
fn a_hopeless_run_ends_long_before_its_schedule() {
    // An hour of schedule.
    let bench = Bench::with_conf(&conf(true, 3600.0, 20, 20));
    let done = finish(bench.echo("server", "performance", &SLOW), LIMIT);
    assert_eq!(done.code(), Some(1), "{}\n{}", done.stdout, done.stderr);
    let verdict = bench.verdict();
    let cause = cause(&verdict);
    assert!(
        cause.contains("limit of 20 ms on the time to first token"),
        "{cause}"
    );
    assert_eq!(verdict["interrupted"], true);
    assert!(
        done.stdout.contains("cannot become VALID any more"),
        "{}",
        done.stdout
    );
    assert_eq!(bench.plan()["stop_hopeless"], true);
}

/// The same schedule twice: LoadGen issues as many samples as were reckoned with.
#[test]
fn the_most_samples_are_those_that_loadgen_issues() {
    for (permutations, seconds, qps) in [
        (true, 2.0, 400),
        (true, 3.0, 170),
        (false, 2.0, 431),
        (false, 1.5, 901),
    ] {
        let good = Bench::with_conf(&conf(permutations, seconds, qps, 60_000));
        let done = finish(
            good.echo("server", "performance", &["--stop-hopeless"]),
            LIMIT,
        );
        let verdict = good.verdict();
        assert_eq!(done.code(), Some(0), "{verdict:#}");
        let issued = verdict["metrics"]["samples_issued"].as_u64().unwrap();

        let bad = Bench::with_conf(&conf(permutations, seconds, qps, 20));
        let done = finish(bad.echo("server", "performance", &SLOW), LIMIT);
        assert_eq!(done.code(), Some(1), "{}\n{}", done.stdout, done.stderr);
        let verdict = bad.verdict();
        let cause = cause(&verdict);
        assert!(
            cause.contains(&format!("of the {issued} samples that it may have")),
            "{issued}: {cause}"
        );
    }
}

#[test]
fn other_kinds_of_runs_are_not_concerned() {
    for (scenario, mode) in [("offline", "performance"), ("server", "accuracy")] {
        let bench =
            Bench::with_conf(&(SHORT_CONF.to_owned() + "gpt-oss-120b.Server.ttft_latency = 20\n"));
        let done = finish(bench.echo(scenario, mode, &SLOW), LIMIT);
        assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    }
}
