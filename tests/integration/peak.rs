//! `ossmark peak` with real runs of the echo engine, short ones. How fast the machine is decides what is found, and nothing
//! here depends on that; what is found on a clock that is not real is in crates/predict.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ossmark_record::Record;
use serde_json::Value;

use crate::common::{Bench, Done, binary, finish, read_json};

const LIMIT: Duration = Duration::from_secs(300);

/// So short that probes are too: their length follows from the limits.
const CONF: &str = "\
# of a test
gpt-oss-120b.*.performance_sample_count_override = 64
gpt-oss-120b.Server.target_qps = 1
gpt-oss-120b.Server.min_duration = 100
gpt-oss-120b.Server.min_query_count = 662
gpt-oss-120b.Server.ttft_latency = 40
gpt-oss-120b.Server.tpot_latency = 40
gpt-oss-120b.Offline.min_duration = 300
gpt-oss-120b.Offline.min_query_count = 64
";

fn peak(bench: &Bench, scenario: &str, more: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .current_dir(bench.dir.path())
        .args(["peak", "--scenario", scenario, "--engine", "echo"])
        .args(["--user-conf", "user.conf", "--output", "peak"])
        .args([
            "--echo-tokens",
            "2",
            "--echo-ttft-ms",
            "4",
            "--echo-slots",
            "4",
        ])
        .args(["--probe-samples", "100"])
        .args(more);
    command
}

/// Whether something passed is the machine's; both are results.
#[track_caller]
fn told(done: &Done, json: &Path) -> Value {
    assert!(
        matches!(done.code(), Some(0 | 1)),
        "{}\n{}",
        done.stdout,
        done.stderr
    );
    let told = read_json(json);
    let found = told["target_qps"].is_number() && told["confirmed"] == true;
    assert_eq!(done.code() == Some(0), found, "{told:#}\n{}", done.stdout);
    told
}

/// Names of what lies in the search's directory, directories only or files only.
fn names(bench: &Bench, directories: bool) -> BTreeSet<String> {
    let entries = std::fs::read_dir(bench.dir.path().join("peak")).unwrap();
    entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir() == directories)
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

/// What the JSON says of the runs is what lies in their directories.
#[track_caller]
fn agrees_with_its_runs(bench: &Bench, told: &Value) {
    let runs = told["probes"].as_array().unwrap();
    let mut dirs = BTreeSet::new();
    let mut official = 0;
    for run in runs {
        let dir = PathBuf::from(run["run"].as_str().unwrap());
        dirs.insert(dir.file_name().unwrap().to_str().unwrap().to_owned());
        official += u64::from(run["official"] == true);
        let verdict = read_json(&dir.join("verdict.json"));
        assert_eq!(verdict["settings"], "test");
        if run["result"] == "VALID" {
            assert_eq!(verdict["loadgen"]["result"], "VALID", "{run:#}");
        }
        assert!(!Record::open(&dir).unwrap().rows.is_empty());
        let plan = read_json(&dir.join("run_plan.json"));
        let conf = plan["user_conf"]["content"].as_str().unwrap();
        assert!(conf.starts_with("# of a test\n"), "{conf}");
        assert_eq!(
            conf.matches(".target_qps = ").count(),
            told_scenarios(conf),
            "{conf}"
        );
    }
    assert_eq!(dirs.len(), runs.len(), "{told:#}");
    assert_eq!(names(bench, true), dirs, "{told:#}");
    assert_eq!(told["official_runs"], official, "{told:#}");
    assert!((1..=3).contains(&official), "{told:#}");
    if told["target_qps"].is_number() {
        let conf = std::fs::read_to_string(told["user_conf"].as_str().unwrap()).unwrap();
        let dir = PathBuf::from(told["run"].as_str().unwrap());
        let plan = read_json(&dir.join("run_plan.json"));
        assert_eq!(plan["user_conf"]["content"], conf);
        let qps = told["target_qps"].as_f64().unwrap();
        let line = format!(".target_qps = {qps}\n");
        assert!(conf.contains(&line), "{line}: {conf}");
        assert_eq!(read_json(&dir.join("verdict.json"))["verdict"], "valid");
        assert_eq!(told["settings"], "test");
        assert!(told["tokens_per_s"].as_f64().unwrap() > 0.0);
    }
    let page = std::fs::read_to_string(bench.dir.path().join("peak/report.html")).unwrap();
    for dir in dirs {
        assert!(page.contains(&format!("{dir}.target_qps")), "{dir}");
    }
}

/// Server has a line of its own, and in an Offline search that of Server stays.
fn told_scenarios(conf: &str) -> usize {
    1 + usize::from(conf.contains("Offline.target_qps"))
}

#[test]
fn a_search_is_made_of_runs_and_told_as_it_was() {
    let bench = Bench::with_conf(CONF);
    let json = bench.dir.path().join("told.json");
    let more = ["--probes", "2", "--json", "told.json"];
    let done = finish(peak(&bench, "server", &more), LIMIT);
    let first = told(&done, &json);
    assert_eq!(first["scenario"], "server");
    agrees_with_its_runs(&bench, &first);
    let [low, high] = [0, 1].map(|k| first["interval"][k].as_f64().unwrap());
    assert!(0.0 < low && low <= high, "{first:#}");

    // Once more there is nothing left to run, and the same is told.
    std::fs::remove_file(&json).unwrap();
    let again = finish(peak(&bench, "server", &more), LIMIT);
    assert_eq!(told(&again, &json), first);
    assert!(!again.stderr.contains("queries/s ..."), "{}", again.stderr);

    // With other settings it would be another search; nothing is touched.
    let before = (names(&bench, true), names(&bench, false));
    for (other, named) in [
        (&["--probes", "3"][..], "--probes: found 2, now 3"),
        (&["--probes", "2", "--seed", "7"], "options of run"),
        (&["--probes", "2", "--no-confirm"], "--no-confirm"),
    ] {
        let done = finish(peak(&bench, "server", other), LIMIT);
        done.refused(&["other settings", named, "peak.json"]);
    }
    assert_eq!(before, (names(&bench, true), names(&bench, false)));
}

/// Killed again and again while its runs are made: they end without it, and are found. As often as `OSSMARK_PEAK_KILLS` says.
#[test]
fn killed_at_any_moment_the_same_command_goes_on() {
    let kills = std::env::var("OSSMARK_PEAK_KILLS").map_or(4, |n| n.parse().unwrap());
    let bench = Bench::with_conf(CONF);
    let more = ["--probes", "1"];
    let mut in_its_middle = 0;
    for kill in 0..kills {
        let mut search = peak(&bench, "server", &more);
        let mut search = search
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // So short that the search, some five seconds, is not over before the last of twenty.
        std::thread::sleep(Duration::from_millis(40 + kill * 73 % 160));
        in_its_middle += u64::from(search.try_wait().unwrap().is_none());
        let _ = search.kill();
        search.wait().unwrap();
    }
    println!("{in_its_middle} of {kills} kills in its middle");
    let json = bench.dir.path().join("told.json");
    let done = finish(
        peak(&bench, "server", &["--probes", "1", "--json", "told.json"]),
        LIMIT,
    );
    // None is lost and none was made twice: one made again would have moved the other aside, to a directory of its own.
    agrees_with_its_runs(&bench, &told(&done, &json));
}

#[test]
fn offline_is_sized_by_a_probe() {
    let bench = Bench::with_conf(CONF);
    let json = bench.dir.path().join("told.json");
    let done = finish(peak(&bench, "offline", &["--json", "told.json"]), LIMIT);
    let told = told(&done, &json);
    agrees_with_its_runs(&bench, &told);
    assert_eq!(told["interval"], Value::Null);
    if done.code() == Some(0) {
        assert!(told["samples_per_s"].as_f64().unwrap() > 0.0, "{told:#}");
    }
    let state = read_json(&bench.dir.path().join("peak/peak.json"));
    let loads = state["known"]["offline"]["official"].as_array().unwrap();
    assert_eq!(told["official_runs"], loads.len());
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let bench = Bench::with_conf(CONF);
    for (more, parts) in [
        (
            &["--echo-slots", "0"][..],
            &["--highest-qps", "--echo-slots"][..],
        ),
        (&["--highest-qps", "0"], &["--highest-qps 0", "0.001"]),
        (&["--budget", "soon"], &["--budget", "45m"]),
        (&["--mode", "accuracy"], &["--mode"]),
    ] {
        let mut command = Command::new(binary());
        command
            .current_dir(bench.dir.path())
            .args(["peak", "--scenario", "server", "--engine", "echo"])
            .args(["--user-conf", "user.conf", "--output", "peak"])
            .args(more);
        if more[0] != "--echo-slots" {
            command.args(["--echo-slots", "4", "--echo-ttft-ms", "4"]);
        }
        finish(command, LIMIT).refused(parts);
        let _ = std::fs::remove_dir_all(bench.dir.path().join("peak"));
    }
    let config = "scenario = \"server\"\nengine = \"echo\"\ntarget-qps = 5.0\n";
    std::fs::write(bench.dir.path().join("run.toml"), config).unwrap();
    let mut command = Command::new(binary());
    command
        .current_dir(bench.dir.path())
        .args(["peak", "--config", "run.toml", "--output", "peak"]);
    finish(command, LIMIT).refused(&["--config", "'target-qps'"]);
    assert!(!bench.dir.path().join("peak").exists());
}

/// It says nothing of the load: the search waits for a better one.
#[test]
fn a_run_that_cannot_be_made_is_not_a_load_that_fails() {
    let bench = Bench::with_conf(CONF);
    let missing = ["--engine", "http", "--endpoint", "http://127.0.0.1:9"];
    let data = crate::common::repository().join("demo/perf.parquet");
    let mut command = Command::new(binary());
    command
        .current_dir(bench.dir.path())
        .args(["peak", "--scenario", "server", "--user-conf", "user.conf"])
        .args(["--output", "peak", "--dataset"])
        .arg(data)
        .args(missing);
    let done = finish(command, LIMIT);
    done.refused(&[
        "00-calibration",
        "could not be made",
        "The same command goes on",
    ]);
    let state = read_json(&bench.dir.path().join("peak/peak.json"));
    assert_eq!(state["known"]["search"], Value::Null);
}
