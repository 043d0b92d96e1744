//! Whatever breaks, the process ends in time, with an invalid verdict that names the first cause, and exit 1.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{Bench, Done, SHORT_CONF, binary, finish, words};

/// A run that has not ended by then hangs: nothing on its own way to the end takes more than some seconds.
const LIMIT: Duration = Duration::from_secs(120);
/// Server at a rate at which the schedule lasts more than a minute.
const LONG_SERVER: &str = "\
gpt-oss-120b.*.performance_sample_count_override = 64
gpt-oss-120b.*.accuracy_sample_count_override = 48
*.Server.min_duration = 60000
*.Server.target_qps = 20
*.Offline.min_duration = 60000
*.Offline.target_qps = 20
";

/// Only what the watchdog is to find waits for it: on a busy machine nothing may move for a second without a fault.
fn watchdog(kind: &str) -> &'static str {
    match kind {
        "stalled" => "1",
        _ => "300",
    }
}

#[track_caller]
fn assert_invalid(bench: &Bench, done: &Done, kind: &str, cause: &str) -> Value {
    assert_eq!(done.code(), Some(1), "{}{}", done.stdout, done.stderr);
    let verdict = bench.verdict();
    assert_eq!(verdict["verdict"], "invalid");
    let first = &verdict["faults"][0];
    assert_eq!(first["kind"], kind, "{verdict:#}");
    assert!(
        first["message"].as_str().unwrap().contains(cause),
        "{verdict:#}"
    );
    assert!(
        verdict["reasons"][0].as_str().unwrap().contains(cause),
        "{verdict:#}"
    );
    verdict
}

/// Each drill through the echo engine in Offline.
#[test]
fn drills_of_the_engines_answers() {
    for (drill, kind, cause) in [
        ("error@1", "engine", "the engine died"),
        ("panic@1", "channel_closed", "engine"),
        ("close@1", "channel_closed", "engine"),
        ("lose@3", "stalled", "nothing moved"),
        ("short@3", "short_answer", "1 token;"),
        ("twice@3", "unknown_request", "answered twice"),
    ] {
        let bench = Bench::new();
        let args = [
            "--drill",
            drill,
            "--watchdog",
            watchdog(kind),
            "--echo-slots",
            "2",
            "--echo-ttft-ms",
            "1",
        ];
        let done = finish(bench.echo("offline", "performance", &args), LIMIT);
        let verdict = assert_invalid(&bench, &done, kind, cause);
        assert_eq!(
            verdict["interrupted"], false,
            "{drill}: Offline ends by answering everything"
        );
        assert!(verdict["deviations"].to_string().contains("drill"));
    }
}

/// The same in accuracy mode and in Server, where LoadGen is touchier.
#[test]
fn drills_in_server_accuracy() {
    for (drill, kind) in [
        ("error@5", "engine"),
        ("lose@3", "stalled"),
        ("panic@5", "channel_closed"),
    ] {
        let bench = Bench::new();
        let args = [
            "--drill",
            drill,
            "--watchdog",
            watchdog(kind),
            "--echo-ttft-ms",
            "1",
            "--echo-tpot-ms",
            "1",
        ];
        let done = finish(bench.echo("server", "accuracy", &args), LIMIT);
        assert_invalid(&bench, &done, kind, "");
    }
}

/// The real engine with a device that fails.
#[test]
fn a_device_that_fails() {
    for (drill, kind, cause, engines) in [
        ("exec-error@8", "engine", "the device reports an error", "1"),
        ("exec-panic@8", "engine", "the device code panics", "1"),
        ("exec-hang@8", "stalled", "nothing moved", "1"),
        ("exec-error@8", "engine", "the device reports an error", "2"),
    ] {
        let bench = Bench::new();
        let args = [
            "--dp",
            engines,
            "--drill",
            drill,
            "--watchdog",
            watchdog(kind),
            "--max-new-tokens",
            "16",
        ];
        let done = finish(bench.demo_model("offline", "performance", &args), LIMIT);
        assert_invalid(&bench, &done, kind, cause);
    }
}

/// LoadGen cannot be aborted: a failed Server run with much of its schedule left ends the process.
#[test]
fn a_failed_server_run_does_not_wait_for_its_schedule() {
    for mode in ["performance", "accuracy"] {
        let conf = LONG_SERVER.replace(
            "target_qps = 20",
            if mode == "accuracy" {
                "target_qps = 2"
            } else {
                "target_qps = 20"
            },
        );
        let bench = Bench::with_conf(&conf);
        let done = finish(
            bench.echo(
                "server",
                mode,
                &["--drill", "error@3", "--echo-ttft-ms", "1"],
            ),
            LIMIT,
        );
        let verdict = assert_invalid(&bench, &done, "engine", "the engine died");
        assert_eq!(verdict["interrupted"], true);
        assert!(verdict["reasons"].to_string().contains("cut off"));
    }
}

#[test]
fn an_answer_of_one_token() {
    let bench = Bench::new();
    let done = finish(
        bench.echo("server", "performance", &["--echo-tokens", "1"]),
        LIMIT,
    );
    let verdict = assert_invalid(&bench, &done, "short_answer", "1 token;");
    assert_eq!(
        verdict["loadgen"]["result"], "VALID",
        "LoadGen alone would have believed it"
    );
}

fn interrupt(child: &std::process::Child) {
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

fn start_long(bench: &Bench, scenario: &str) -> std::process::Child {
    let args = ["--echo-slots", "1", "--echo-ttft-ms", "100"];
    let mut command = bench.echo(scenario, "performance", &args);
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_start(bench);
    child
}

fn wait_for_start(bench: &Bench) {
    // The plan is written before the test; the log shows that LoadGen has started.
    let log = bench.out().join("mlperf_log_detail.txt");
    let start = Instant::now();
    while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("generated_query_count")) {
        assert!(start.elapsed() < LIMIT, "the run did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn wait(child: &mut std::process::Child) -> i32 {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().expect("not killed by a signal");
        }
        if start.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("still running {LIMIT:?} after Ctrl-C");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ctrl_c_ends_the_run_as_invalid() {
    for scenario in ["offline", "server"] {
        let bench = Bench::with_conf(LONG_SERVER);
        let mut child = start_long(&bench, scenario);
        interrupt(&child);
        assert_eq!(wait(&mut child), 1);
        let verdict = bench.verdict();
        assert_eq!(verdict["verdict"], "invalid");
        assert_eq!(verdict["faults"][0]["kind"], "interrupted", "{verdict:#}");
        let log = std::fs::read_to_string(bench.out().join("mlperf_log_summary.txt")).unwrap();
        assert_eq!(
            log.contains("Result is"),
            scenario == "offline",
            "Offline logs are closed"
        );
    }
}

/// A device that hangs holds the end of the run up for some seconds; a second Ctrl-C does not wait for it.
#[test]
fn a_second_ctrl_c_ends_at_once() {
    let bench = Bench::new();
    let args = ["--drill", "exec-hang@4", "--max-new-tokens", "16"];
    let mut command = bench.demo_model("offline", "performance", &args);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut wait_for_line = |part: &str| {
        let found = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(part)));
        assert!(found.is_some(), "ended without a line with {part:?}");
    };
    wait_for_line("drill: the device hangs");
    interrupt(&child);
    wait_for_line("again to end at once");
    assert!(child.try_wait().unwrap().is_none(), "the engine hangs");
    interrupt(&child);
    // With the first alone it would be 1, after the engine was waited for.
    assert_eq!(wait(&mut child), 130);
}

/// A full disk, by a limit on file sizes: LoadGen's stream fails in silence in both cases.
#[test]
fn a_disk_that_fills_up() {
    let bench = Bench::new();
    let script = "trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command
        .current_dir(bench.dir.path())
        .args(["-c", script])
        .arg(binary());
    command.args(words(
        "run --output out --user-conf user.conf --engine echo --scenario offline",
    ));
    // 48 answers of 1000 tokens are 400 KB of log; slow enough for the watch to see the disk first.
    command.args(words(
        "--mode accuracy --echo-tokens 1000 --echo-slots 1 --echo-ttft-ms 60",
    ));
    let done = finish(command, LIMIT);
    let verdict = assert_invalid(&bench, &done, "logs", "no room for the logs");
    assert!(
        verdict["reasons"].to_string().contains("accuracy"),
        "the log's own state is a reason too: {verdict:#}"
    );
}

#[test]
fn the_short_settings_are_not_what_makes_these_runs_invalid() {
    let bench = Bench::with_conf(SHORT_CONF);
    let done = finish(
        bench.echo(
            "offline",
            "performance",
            &["--echo-slots", "2", "--echo-ttft-ms", "1"],
        ),
        LIMIT,
    );
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
}
