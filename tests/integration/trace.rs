//! `run --trace`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::common::{ANY_SPEED, Bench, SHORT_CONF, finish, read_json};

const LIMIT: Duration = Duration::from_secs(300);

fn count(events: &[Value], phase: &str) -> usize {
    events.iter().filter(|event| event["ph"] == phase).count()
}

#[test]
fn every_sample_and_every_step_is_on_the_time_line() {
    let bench = Bench::with_conf(&(SHORT_CONF.replace("500", "100") + ANY_SPEED));
    let args = ["--max-new-tokens", "8", "--trace", "out/trace.json"];
    let done = finish(bench.demo_model("offline", "performance", &args), LIMIT);
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    let trace = read_json(&bench.out().join("trace.json"));
    let events = trace.as_array().unwrap();
    let samples = bench.verdict()["metrics"]["samples_completed"]
        .as_u64()
        .unwrap() as usize;
    assert_eq!(
        [count(events, "b"), count(events, "n"), count(events, "e")],
        [samples; 3]
    );
    let steps: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    assert!(!steps.is_empty());
    assert!(steps.iter().all(|step| step["dur"].as_f64() > Some(0.0) && step["args"]["rows"].as_u64() > Some(0)));
    // Prompts are computed once, and what decodes looks back on something.
    let sum = |name: &str| -> u64 {
        let of = steps
            .iter()
            .map(|step| step["args"][name].as_u64().unwrap());
        of.sum()
    };
    assert!(0 < sum("prefill") && sum("prefill") < sum("rows"));
    assert!(sum("context") > sum("rows") - sum("prefill"));
    // Of each sample in this order.
    let mut at: BTreeMap<u64, Vec<(String, f64)>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["cat"] == "sample") {
        let moment = (
            event["ph"].as_str().unwrap().to_owned(),
            event["ts"].as_f64().unwrap(),
        );
        at.entry(event["id"].as_u64().unwrap())
            .or_default()
            .push(moment);
    }
    for moments in at.values() {
        let phases: Vec<&str> = moments.iter().map(|(phase, _)| phase.as_str()).collect();
        assert_eq!(phases, ["b", "n", "e"]);
        assert!(moments.is_sorted_by(|a, b| a.1 <= b.1), "{moments:?}");
    }
}

#[test]
fn a_run_that_fails_has_one_too_and_an_earlier_file_is_kept() {
    let bench = Bench::new();
    let mut args = vec![
        "--trace",
        "trace.json",
        "--drill",
        "error@3",
        "--echo-ttft-ms",
        "1",
    ];
    let done = finish(bench.echo("server", "performance", &args), LIMIT);
    assert_eq!(done.code(), Some(1), "{}\n{}", done.stdout, done.stderr);
    let file = bench.dir.path().join("trace.json");
    let events = read_json(&file);
    let events = events.as_array().unwrap();
    assert_eq!(count(events, "b"), count(events, "e"));
    args.truncate(2);
    std::fs::remove_dir_all(bench.out()).unwrap();
    finish(bench.echo("server", "performance", &args), LIMIT)
        .refused(&["trace.json", "already exists"]);
    assert!(!bench.out().exists());
}
