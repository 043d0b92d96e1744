//! `ossmark preflight`: mistakes planted into a setup and setups that are good, and what it foresees against the runs. Those of
//! the machine and its GPUs are in src/doctor/probes.

mod setups;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::common::{ANY_SPEED, Bench, Done, SHORT_CONF, binary, finish, read_json, repository};

const LIMIT: Duration = Duration::from_secs(300);

/// As mlperf_conf has them, at rates that take ten minutes.
const CONF: &str = "\
gpt-oss-120b.Server.target_qps = 20
gpt-oss-120b.Server.min_duration = 600000
gpt-oss-120b.Offline.target_qps = 20
gpt-oss-120b.Offline.min_duration = 600000
gpt-oss-120b.Offline.min_query_count = 6396
";

/// Quick, without a limit; in Offline so slow that it lasts.
const SERVER: &[&str] = &[
    "--scenario",
    "server",
    "--mode",
    "performance",
    "--echo-ttft-ms",
    "10",
    "--echo-tpot-ms",
    "1",
];
const OFFLINE: &[&str] = &[
    "--scenario",
    "offline",
    "--mode",
    "performance",
    "--echo-ttft-ms",
    "1000",
    "--echo-slots",
    "20",
];
/// What is about the machine that the tests run on.
const MACHINE: [&str; 8] = [
    "CPU governor",
    "CPU quota",
    "other work",
    "swap",
    "clock source",
    "clock",
    "open files",
    "ports",
];

fn preflight(dir: &Path, args: &[&str]) -> (Value, Done) {
    preflight_by(dir, &[&["--engine", "echo"], args].concat())
}

/// With an engine that the arguments name.
fn preflight_by(dir: &Path, args: &[&str]) -> (Value, Done) {
    let mut command = Command::new(binary());
    command
        .current_dir(dir)
        .args(["preflight", "--user-conf", "user.conf"])
        .args(["--json", "told.json", "--force"])
        .args(args);
    let done = finish(command, LIMIT);
    assert!(
        matches!(done.code(), Some(0 | 1)),
        "{}\n{}",
        done.stdout,
        done.stderr
    );
    (read_json(&dir.join("told.json")), done)
}

/// What is not good, apart from the machine, and from what is wrong with every run of the echo engine: name and finding.
fn wrong(told: &Value) -> Vec<(String, String)> {
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let checks = told["checks"].as_array().unwrap().iter();
    checks
        .filter(|check| {
            assert_eq!(check["ok"] == true, check["mend"].is_null(), "{check:#}");
            check["ok"] == false
        })
        .map(|check| (text(check, "name"), text(check, "found")))
        .filter(|(name, found)| {
            let is_usual = name == "data set" && found.starts_with("none, ")
                || name == "rules" && found.contains("answers are scripted")
                || name == "rules" && found.contains("prompts are made up");
            !is_usual && !MACHINE.contains(&name.as_str())
        })
        .collect()
}

/// Lines of user.conf, options, a file beside it; what finds it, and a part of what is found.
type Mistake = (
    &'static str,
    &'static [&'static str],
    Option<&'static str>,
    &'static str,
    &'static str,
);

#[test]
fn each_planted_mistake_is_found() {
    let audit = "gpt-oss-120b.*.mode = 2\n";
    let mistakes: &[Mistake] = &[
        (
            "gpt-oss-120b.Server.target_qps = 2O\n",
            SERVER,
            None,
            "user.conf",
            "expected",
        ),
        (
            "gpt-oss-120b.Server.min_duration = 6e5\n",
            SERVER,
            None,
            "user.conf",
            "LoadGen reads 6",
        ),
        (
            "gpt-oss-120b.Server.target_qps=20\n",
            SERVER,
            None,
            "user.conf",
            "both sides of '='",
        ),
        (
            "gpt-oss-120b.Interactive.target_qps = 5\n",
            SERVER,
            None,
            "user.conf",
            "gpt-oss-120b-interactive",
        ),
        (
            "gpt-oss-120b.Server.min_duratoin = 5\n",
            SERVER,
            None,
            "user.conf",
            "min_duratoin",
        ),
        (
            "gpt_oss-120b.Server.target_qps = 5\n",
            SERVER,
            None,
            "user.conf",
            "did you mean",
        ),
        (
            "gpt-oss-120b.Server.target_qps = 21\n",
            SERVER,
            None,
            "user.conf",
            "was set in line 1 already",
        ),
        (
            "*.Server.ttft_latency = 9000\n",
            SERVER,
            None,
            "user.conf",
            "would replace",
        ),
        ("*.*.mode = 2\n", SERVER, None, "user.conf", "mode"),
        // A hyphen that only looks like one.
        (
            "gpt\u{2011}oss-120b.Server.min_duration = 5\n",
            SERVER,
            None,
            "user.conf",
            "did you mean 'gpt-oss-120b'",
        ),
        (
            "gpt-oss-120b.server.min_duration = 5\n",
            SERVER,
            None,
            "user.conf",
            "did you mean 'Server'",
        ),
        (
            "gpt-oss-120b.Server.min_duration = 5 # ms\n",
            SERVER,
            None,
            "user.conf",
            "comment",
        ),
        (
            "gpt-oss-120b.*.qsl_rng_seed = 7\n",
            SERVER,
            None,
            "user.conf",
            "built-in mlperf.conf",
        ),
        (
            "gpt-oss-120b.Server.target_qps = -3\n",
            SERVER,
            None,
            "user.conf",
            "above 0",
        ),
        (
            "gpt-oss-120b.Server.tpot_latency = 100\n",
            SERVER,
            None,
            "rules",
            "tpot_latency",
        ),
        (
            "gpt-oss-120b.*.use_token_latencies = 0\n",
            SERVER,
            None,
            "rules",
            "use_token_latencies",
        ),
        (
            "gpt-oss-120b.Server.min_duration = 60000\n",
            SERVER,
            None,
            "rules",
            "min_duration_ms is 60000",
        ),
        (
            "gpt-oss-120b.Server.target_latency_percentile = 90\n",
            SERVER,
            None,
            "rules",
            "percentile is 0.9",
        ),
        (
            "gpt-oss-120b.*.performance_issue_same = 1\n",
            SERVER,
            None,
            "can pass",
            "performance_issue_same",
        ),
        (
            "",
            &["--scenario", "interactive", "--mode", "performance"],
            None,
            "target_qps",
            "interactive: neither",
        ),
        (
            "",
            &[
                "--scenario",
                "server",
                "--mode",
                "performance",
                "--output",
                "user.conf",
            ],
            None,
            "output",
            "no directory",
        ),
        (
            "gpt-oss-120b.Server.ttft_latency = 9000\n",
            SERVER,
            None,
            "rules",
            "ttft_latency",
        ),
        (
            "gpt-oss-120b.*.sample_concatenate_permutation = 0\n",
            SERVER,
            None,
            "rules",
            "concatenate",
        ),
        (
            "*.Server.max_duration = 700000\n",
            SERVER,
            None,
            "can pass",
            "max_duration is set",
        ),
        (
            "",
            &[
                "--scenario",
                "server",
                "--mode",
                "performance",
                "--echo-ttft-ms",
                "100",
                "--echo-slots",
                "1",
            ],
            None,
            "can pass",
            "over a limit",
        ),
        (
            "",
            &["--scenario", "offline", "--mode", "performance"],
            None,
            "can pass",
            "at least 600.0 s",
        ),
        ("", SERVER, Some("audit.config"), "settings", "audit.config"),
        (
            "",
            &["--scenario", "server", "--audit-config", "mine.config"],
            Some("mine.config"),
            "audit.config",
            "mine.config",
        ),
        (
            "",
            &[
                "--scenario",
                "server",
                "--mode",
                "performance",
                "--dataset",
                "perf.parquet",
            ],
            Some("perf.parquet"),
            "data set",
            "512 rows",
        ),
    ];
    for (lines, args, file, name, part) in mistakes {
        let bench = Bench::with_conf(&format!("{CONF}{lines}"));
        let dir = bench.dir.path();
        match *file {
            Some("perf.parquet") => {
                std::fs::copy(
                    repository().join("demo/perf.parquet"),
                    dir.join("perf.parquet"),
                )
                .unwrap();
            }
            Some(file) => std::fs::write(dir.join(file), audit).unwrap(),
            None => {}
        }
        let (told, done) = preflight(dir, args);
        let found = wrong(&told);
        assert!(
            found
                .iter()
                .any(|(n, found)| n == name && found.contains(*part)),
            "{lines}{args:?}: {found:?}"
        );
        assert_eq!(done.code(), Some(1));
        assert!(done.stdout.contains("NOT OK"), "{}", done.stdout);
    }
}

#[test]
fn good_setups_are_not_called_bad() {
    let replaced = CONF.replace("gpt-oss-120b.Server.t", "*.Server.t");
    let crlf = CONF.replace('\n', "\r\n");
    let tabs = CONF.replace(" = ", "\t=\t");
    let test09 = repository().join("mlperf_conf/audit/TEST09/audit.config");
    let test09 = test09.to_str().unwrap().to_owned();
    let good: &[(&str, &str, &[&str])] = &[
        ("as shipped", CONF, SERVER),
        ("offline", CONF, OFFLINE),
        ("a wildcard", &replaced, SERVER),
        ("line ends of another system", &crlf, SERVER),
        (
            "another benchmark's lines",
            "resnet50.Server.target_qps = 9000\n",
            SERVER,
        ),
        ("comments", "# ours\n#target_qps = 5\n", SERVER),
        (
            "interactive as well",
            "gpt-oss-120b-interactive.Server.target_qps = 3\n",
            SERVER,
        ),
        ("tabs", &tabs, SERVER),
        (
            "a compliance run",
            CONF,
            &["--scenario", "server", "--audit-config", &test09],
        ),
        (
            "another load",
            CONF,
            &[
                "--scenario",
                "server",
                "--mode",
                "performance",
                "--target-qps",
                "30",
                "--echo-ttft-ms",
                "5",
            ],
        ),
    ];
    for (name, conf, args) in good {
        let conf = match conf.contains("Server.min_duration") {
            true => (*conf).to_owned(),
            false => format!("{CONF}{conf}"),
        };
        let bench = Bench::with_conf(&conf);
        let (told, done) = preflight(bench.dir.path(), args);
        let found = wrong(&told);
        assert!(found.is_empty(), "{name}: {found:?}\n{}", done.stdout);
        let run = &told["runs"][0];
        assert_eq!(run["can_pass"], true, "{name}: {run:#}");
        // A compliance run has each sample once.
        let least_s = match args.contains(&"--audit-config") {
            true => 300.0,
            false => 599.0,
        };
        assert!(
            run["duration_s"][0].as_f64() >= Some(least_s),
            "{name}: {run:#}"
        );
    }
}

/// The same sentences as the verdict's, and as many samples.
#[test]
fn what_is_foreseen_is_what_the_run_then_says() {
    for (scenario, mode) in [
        ("offline", "performance"),
        ("server", "performance"),
        ("server", "accuracy"),
    ] {
        let bench = Bench::with_conf(&format!("{SHORT_CONF}{ANY_SPEED}"));
        let args = ["--scenario", scenario, "--mode", mode, "--echo-tokens", "3"];
        let (told, _) = preflight(bench.dir.path(), &args);
        let done = finish(bench.echo(scenario, mode, &["--echo-tokens", "3"]), LIMIT);
        assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
        let verdict = bench.verdict();
        let run = format!("{scenario} {mode}: ");
        let checks = told["checks"].as_array().unwrap().iter();
        let rules: Vec<&str> = checks
            .filter(|check| check["name"] == "rules")
            .map(|check| check["found"].as_str().unwrap())
            .map(|found| found.strip_prefix(&run).unwrap())
            .collect();
        let deviations = verdict["deviations"].as_array().unwrap().iter();
        let deviations: Vec<&str> = deviations.map(|text| text.as_str().unwrap()).collect();
        assert_eq!(rules, deviations, "{scenario} {mode}");
        let issued = &verdict["metrics"]["samples_issued"];
        assert_eq!(&told["runs"][0]["samples"], issued, "{told:#}");
        let bytes = told["runs"][0]["disk_bytes"].as_u64().unwrap();
        let files = std::fs::read_dir(bench.out()).unwrap();
        let written: u64 = files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        assert!(written <= bytes, "{written} of {bytes}");
    }
}

/// Without a mode all runs of a submission; with an earlier run their times.
#[test]
fn every_run_of_a_submission_is_told() {
    let bench = Bench::with_conf(&format!("{SHORT_CONF}{ANY_SPEED}"));
    let echo = [
        "--echo-tokens",
        "5",
        "--echo-ttft-ms",
        "3",
        "--echo-tpot-ms",
        "1",
    ];
    let done = finish(bench.echo("server", "performance", &echo), LIMIT);
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    std::fs::write(bench.dir.path().join("user.conf"), CONF).unwrap();
    let (told, done) = preflight(bench.dir.path(), &["--from", "out"]);
    let runs = told["runs"].as_array().unwrap();
    let names: Vec<String> = runs
        .iter()
        .map(|run| {
            format!(
                "{} {}",
                run["scenario"].as_str().unwrap(),
                run["mode"].as_str().unwrap()
            )
        })
        .collect();
    let mut expected = Vec::new();
    for scenario in ["offline", "server", "interactive"] {
        for run in ["performance", "accuracy", "TEST07", "TEST09"] {
            expected.push(format!("{scenario} {run}"));
        }
    }
    assert_eq!(names, expected, "{}", done.stdout);
    for run in runs {
        let [low, high] = [0, 1].map(|k| run["duration_s"][k].as_f64().unwrap());
        assert!(0.0 < low && low <= high, "{run:#}");
        let is_accuracy = run["mode"] == "accuracy";
        assert_eq!(run["can_pass"].is_null(), is_accuracy, "{run:#}");
    }
    let samples = |at: usize| runs[at]["samples"].as_u64().unwrap();
    assert_eq!([samples(1), samples(2), samples(3)], [4395, 990, 6396]);
}
