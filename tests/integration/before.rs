//! What `run` says before anything is started: the run in a line, how it will deviate, what its settings lack; and what it
//! refuses then.

use std::process::Command;
use std::time::Duration;

use crate::common::{ANY_SPEED, Bench, SHORT_CONF, binary, finish, read_json, words};

const LIMIT: Duration = Duration::from_secs(120);
const QUICK: [&str; 4] = ["--echo-ttft-ms", "1", "--echo-tpot-ms", "0.1"];

/// The first line on standard error.
fn first(stderr: &str) -> &str {
    stderr.lines().next().unwrap_or_default()
}

#[test]
fn what_deviates_is_known_before_and_is_what_the_verdict_has() {
    let conf = SHORT_CONF.to_owned() + ANY_SPEED;
    for (scenario, mode, more) in [
        ("offline", "performance", &[][..]),
        ("server", "performance", &["--drill", "short@3"]),
        ("interactive", "accuracy", &["--round", "v6.0"]),
        ("offline", "accuracy", &["--temperature", "0.5"]),
    ] {
        let bench = Bench::with_conf(&conf);
        let args = [&QUICK[..], more].concat();
        let foreseen = bench.dir.path().join("foreseen.json");
        let dry = ["--dry-run", "--json", foreseen.to_str().unwrap()];
        let done = finish(
            bench.echo(scenario, mode, &[&args[..], &dry].concat()),
            LIMIT,
        );
        assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
        assert!(!bench.out().exists());
        let said = finish(bench.echo(scenario, mode, &args), LIMIT).stderr;
        let deviations = &bench.verdict()["deviations"];
        assert_eq!(
            &read_json(&foreseen)["deviations"],
            deviations,
            "{scenario} {mode}"
        );
        // The same line both times, before all others.
        let n = deviations.as_array().unwrap().len();
        for text in [&done.stderr, &said] {
            let line = first(text);
            let begins = line.starts_with(&format!("{scenario} {mode}, round v6."));
            assert!(
                begins && line.contains(&format!("TEST run, {n} deviations: ")),
                "{line}"
            );
        }
        for deviation in deviations.as_array().unwrap() {
            let words: Vec<&str> = deviation.as_str().unwrap().split_whitespace().collect();
            let told: Vec<&str> = done.stdout.split_whitespace().collect();
            assert!(
                told.windows(words.len()).any(|w| w == words),
                "{deviation}: {}",
                done.stdout
            );
        }
    }
}

#[test]
fn a_run_that_must_be_official_is_refused_before_it_begins() {
    let bench = Bench::with_conf(
        "gpt-oss-120b.Server.target_qps = 1\ngpt-oss-120b.Server.min_duration = 1000\n",
    );
    for more in [
        &["--require-official"][..],
        &["--require-official", "--dry-run"],
    ] {
        let done = finish(bench.echo("server", "performance", more), LIMIT);
        done.refused(&[
            "--require-official: found 3 deviations from round v6.1",
            "min_duration_ms is 1000, round v6.1 asks for at least 600000",
            "answers are scripted",
            "prompts are made up",
        ]);
        let line = first(&done.stderr);
        assert!(
            line.starts_with("server performance, round v6.1, 1 query/s, 6,396 queries, about 1.8 h. TEST run, 3 deviations: "),
            "{line}"
        );
        assert!(!bench.out().exists(), "something was written");
    }
}

/// LoadGen's own load is none that anybody wants; what is advised can be pasted.
#[test]
fn a_file_without_a_load_for_the_scenario_is_told() {
    let other = "gpt-oss-120b.Offline.target_qps = 10\n*.*.min_duration = 600000\n";
    let said = |conf: &str, args: &[&str]| {
        let bench = Bench::with_conf(conf);
        let args = [&["--dry-run"][..], args].concat();
        finish(bench.echo("interactive", "performance", &args), LIMIT).stderr
    };
    let without = said(other, &[]);
    let advice = "gpt-oss-120b-interactive.Server.target_qps = X";
    assert!(
        without.contains("user.conf sets no target_qps for interactive")
            && without.contains(advice),
        "{without}"
    );
    let followed = format!("{other}{}\n", advice.replace('X', "2"));
    for (conf, args) in [
        (followed.as_str(), &[][..]),
        ("*.Server.target_qps = 2\n", &[]),
        ("*.*.target_qps = 2\n", &[]),
        (other, &["--target-qps", "2"]),
    ] {
        let said = said(conf, args);
        assert!(!said.contains("warning"), "{conf}: {said}");
        assert!(first(&said).contains(", 2 queries/s, "), "{conf}: {said}");
    }
}

#[test]
fn an_accuracy_run_over_too_few_rows_is_told() {
    let bench = Bench::with_conf("gpt-oss-120b.*.accuracy_sample_count_override = 48\n");
    let said = |rows: &str| {
        let args = ["--dry-run", "--target-qps", "9", "--echo-samples", rows];
        finish(bench.echo("offline", "accuracy", &args), LIMIT).stderr
    };
    let few = said("40");
    assert!(
        few.contains("40 rows and LoadGen asks for 48")
            && few.contains("gpt-oss-120b.*.accuracy_sample_count_override = 40"),
        "{few}"
    );
    assert!(!said("48").contains("warning"));
}

#[test]
fn quiet_leaves_the_result_and_nothing_else() {
    let conf = SHORT_CONF.to_owned() + ANY_SPEED;
    let bench = Bench::with_conf(&conf);
    let args = [&QUICK[..], &["--quiet"]].concat();
    let done = finish(bench.echo("offline", "performance", &args), LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert_eq!(done.stderr, "");
    assert!(
        done.stdout
            .starts_with("offline performance: valid (test settings: not submittable)")
    );
}

/// Whoever has to start again knows all of it.
#[test]
fn all_that_is_missing_is_told_at_once() {
    let empty = tempfile::tempdir().unwrap();
    for (line, missing) in [
        (
            "run",
            &["--scenario", "--mode", "--output", "--model", "--dataset"][..],
        ),
        (
            "run --engine http --mode accuracy",
            &["--scenario", "--output", "--endpoint", "--dataset"],
        ),
        ("run --engine echo", &["--scenario", "--mode", "--output"]),
        (
            "peak --output peak",
            &["--scenario", "--model", "--dataset"],
        ),
        ("generate", &["--input", "--output", "--model"]),
        ("infer", &["--dataset", "--output", "--model"]),
        (
            "infer --engine http --dataset d --output o",
            &["--endpoint", "--tokenizer"],
        ),
        ("serve", &["--model"]),
        ("score", &["<RUN_DIR", "--dataset", "--tokenizer"]),
        ("audit test07", &["--output", "--dataset", "--tokenizer"]),
        ("submission pack", &["<DIR>", "--submitter", "--output"]),
        ("auditor perturb", &["--dataset", "--model"]),
        ("endpoints run", &["--dataset", "--output", "--model"]),
    ] {
        let mut command = Command::new(binary());
        command.current_dir(empty.path()).args(words(line));
        finish(command, LIMIT).refused(missing);
    }
}

/// The command lines of before mean what they meant.
#[test]
fn earlier_names_are_understood() {
    let repo = crate::common::repository();
    let fixtures = repo.join("tests/fixtures/score");
    let of = |line: &str| {
        let line = line
            .replace("@F", fixtures.to_str().unwrap())
            .replace("@R", repo.to_str().unwrap());
        let mut command = Command::new(binary());
        command.args(words(&line));
        let done = finish(command, LIMIT);
        assert_eq!(done.code(), Some(0), "{line}: {}", done.stderr);
        done.stdout
    };
    for (now, before) in [
        (
            "score @F/edge/full/mlperf_log_accuracy.json --dataset @F/edge/ref.parquet --tokenizer @F/tokenizer",
            "score --reference @F/edge/ref.parquet --tokenizer @F/tokenizer --log @F/edge/full/mlperf_log_accuracy.json",
        ),
        (
            "dataset inspect @R/demo/perf.parquet",
            "dataset inspect --dataset=@R/demo/perf.parquet",
        ),
    ] {
        assert_eq!(of(now), of(before), "{now}");
    }
}
