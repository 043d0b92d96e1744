//! The accuracy log holds every sample once, with all its tokens, in every scenario.

use std::time::Duration;

use crate::common::{Bench, answers, finish};

/// As documented at `generator::echo::echo_token`.
fn echo_token(row: u64, j: u64) -> u32 {
    ((row * 31 + j) % 200_000) as u32
}

#[test]
fn every_index_once_with_all_tokens() {
    for scenario in ["offline", "server", "interactive"] {
        let bench = Bench::new();
        let args = [
            "--echo-tokens",
            "9",
            "--echo-ttft-ms",
            "2",
            "--echo-tpot-ms",
            "0.5",
        ];
        let done = finish(
            bench.echo(scenario, "accuracy", &args),
            Duration::from_secs(60),
        );
        assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
        let mut logged = answers(&bench.out().join("mlperf_log_accuracy.json"));
        logged.sort();
        let expected: Vec<_> = (0..48)
            .map(|row| (row, (0..9).map(|j| echo_token(row, j)).collect()))
            .collect();
        assert_eq!(logged, expected, "{scenario}");
        assert_eq!(
            bench.verdict()["loadgen"]["result"],
            serde_json::Value::Null
        );
    }
}

#[test]
fn a_script_is_replayed() {
    let bench = Bench::new();
    let script = crate::common::repository().join("tests/fixtures/echo_script.parquet");
    let args = [
        "--echo-samples",
        "48",
        "--echo-script",
        script.to_str().unwrap(),
    ];
    let done = finish(
        bench.echo("offline", "accuracy", &args),
        Duration::from_secs(60),
    );
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    for (row, tokens) in answers(&bench.out().join("mlperf_log_accuracy.json")) {
        // The fixture's three lines are [7, 8], [1, 2, 3] and [5, 5, 5, 5] and are used in turn.
        let expected: &[u32] = [&[7, 8][..], &[1, 2, 3], &[5, 5, 5, 5]][row as usize % 3];
        assert_eq!(tokens, expected);
    }
}
