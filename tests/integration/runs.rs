//! Whole runs: every scenario and mode to a verdict.

use std::time::Duration;

use serde_json::Value;

use crate::common::{ANY_SPEED, Bench, SHORT_CONF, finish};

const LIMIT: Duration = Duration::from_secs(120);

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap())
        .collect()
}

#[test]
fn echo_is_valid_in_every_scenario_and_mode() {
    for scenario in ["offline", "server", "interactive"] {
        for mode in ["performance", "accuracy"] {
            let bench = Bench::new();
            let done = finish(
                bench.echo(
                    scenario,
                    mode,
                    &["--echo-ttft-ms", "1", "--echo-tpot-ms", "0.1"],
                ),
                LIMIT,
            );
            assert_eq!(
                done.code(),
                Some(0),
                "{scenario} {mode}: {}{}",
                done.stdout,
                done.stderr
            );
            let verdict = bench.verdict();
            assert_eq!(verdict["verdict"], "valid", "{verdict:#}");
            assert_eq!(verdict["settings"], "test");
            assert_eq!(
                (&verdict["scenario"], &verdict["mode"]),
                (&scenario.into(), &mode.into())
            );
            assert_eq!(verdict["loadgen"]["errors"], 0);
            let deviations = texts(&verdict["deviations"]).join("\n");
            assert!(deviations.contains("echo"), "{deviations}");
            let expected_result = if mode == "accuracy" {
                Value::Null
            } else {
                "VALID".into()
            };
            assert_eq!(verdict["loadgen"]["result"], expected_result);
            assert_eq!(bench.plan()["scenario"], scenario);
        }
    }
}

#[test]
fn equal_issue_pads_server_queries_to_whole_permutations() {
    let bench = Bench::new();
    let done = finish(bench.echo("server", "performance", &[]), LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    // 662 queries over 64 samples: 11 permutations.
    assert_eq!(bench.verdict()["metrics"]["samples_completed"], 704);
}

#[test]
fn the_demo_checkpoint_runs_through_loadgen_on_the_cpu() {
    // 704 Server queries: with fewer than 459 LoadGen's early stopping cannot be satisfied.
    let conf = SHORT_CONF.replace("500", "100") + ANY_SPEED;
    for (scenario, engines) in [("offline", 1), ("server", 1), ("offline", 2)] {
        let bench = Bench::with_conf(&conf);
        let dp = engines.to_string();
        let done = finish(
            bench.demo_model(
                scenario,
                "performance",
                &["--max-new-tokens", "8", "--dp", &dp],
            ),
            LIMIT,
        );
        assert_eq!(bench.plan()["model"]["engines"], engines);
        let verdict = bench.verdict();
        assert_eq!(done.code(), Some(0), "{verdict:#} {}", done.stderr);
        assert!(verdict["metrics"]["output_tokens"].as_u64().unwrap() > 64);
        assert!(
            texts(&verdict["deviations"])
                .iter()
                .any(|d| d.contains("hidden_size")),
            "{verdict:#}"
        );
    }
}

#[test]
fn a_run_is_repeatable() {
    let log = |seed: &str| {
        let bench = Bench::with_conf(&SHORT_CONF.replace(
            "accuracy_sample_count_override = 48",
            "accuracy_sample_count_override = 6",
        ));
        let done = finish(
            bench.demo_model(
                "offline",
                "accuracy",
                &[
                    "--max-new-tokens",
                    "12",
                    "--temperature",
                    "4",
                    "--seed",
                    seed,
                ],
            ),
            LIMIT,
        );
        assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
        let mut answers = crate::common::answers(&bench.out().join("mlperf_log_accuracy.json"));
        answers.sort();
        answers
    };
    let first = log("1");
    assert_eq!(first, log("1"));
    assert_ne!(first, log("2"));
}
