//! Power beside a run: sources that work, hang, lie and vanish; the run does not notice.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ossmark_telemetry::Power;
use serde_json::Value;

use crate::common::{ANY_SPEED, Bench, Done, binary, finish, read_json, repository, words};

const LIMIT: Duration = Duration::from_secs(300);
/// A password that nothing may repeat.
const SECRET: &str = "geheim42";

/// Three seconds of Server.
const CONF: &str = "\
gpt-oss-120b.*.performance_sample_count_override = 64
*.Server.min_duration = 3000
*.Server.target_qps = 200
*.Server.min_query_count = 462
";

fn run(bench: &Bench, args: &[&str]) -> Command {
    let mut command = bench.echo(
        "server",
        "performance",
        &["--echo-ttft-ms", "20", "--echo-tpot-ms", "2"],
    );
    command.args(args);
    command
}

/// A valid run whose record is whole, whatever its sources did, and that says no password anywhere.
#[track_caller]
fn assert_unharmed(bench: &Bench, done: &Done) -> Value {
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    let verdict = bench.verdict();
    assert_eq!(
        (&verdict["verdict"], &verdict["faults"]),
        (&"valid".into(), &Value::Array(vec![]))
    );
    assert_eq!(verdict["metrics"]["record"]["lost"], 0);
    for entry in fs::read_dir(bench.out()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(
            !String::from_utf8_lossy(&bytes).contains(SECRET),
            "{}",
            path.display()
        );
    }
    assert!(!done.stdout.contains(SECRET) && !done.stderr.contains(SECRET));
    verdict
}

fn power(bench: &Bench) -> Power {
    Power::read(&bench.out().join("power.json")).unwrap()
}

#[test]
fn a_commands_watts_become_energy_over_loadgens_window() {
    let bench = Bench::with_conf(&(CONF.to_owned() + ANY_SPEED));
    let word = format!("meter-{}-watts", std::process::id());
    let meter = format!("sh -c 'while :; do echo 250 W; sleep 0.2; done' {SECRET} {word}");
    let done = finish(run(&bench, &["--power-command", &meter]), LIMIT);
    let verdict = assert_unharmed(&bench, &done);
    let power = power(&bench);
    assert!((power.mean_w.unwrap() - 250.0).abs() < 1e-6, "{power:?}");
    assert!(
        (power.energy_j.unwrap() - 250.0 * power.seconds).abs() < 1e-3,
        "{power:?}"
    );
    let log =
        ossmark_logs::detail_log::DetailLog::read(&bench.out().join(ossmark_logs::DETAIL)).unwrap();
    let window = ossmark_telemetry::Window::of_log(&log).unwrap();
    assert_eq!(
        power.begin_unix_ms,
        (window.begin_unix_s * 1e3).round() as i64
    );
    assert_eq!(power.tokens, verdict["metrics"]["output_tokens"].as_u64());
    let said = &verdict["metrics"]["power"];
    assert_eq!(said["energy_j"].as_f64(), power.energy_j);
    assert_eq!(said["tokens_per_joule"].as_f64(), power.tokens_per_joule);
    assert!(done.stdout.contains("  energy: "), "{}", done.stdout);
    let hash = ossmark_dataset::file_sha256(&bench.out().join("power.json")).unwrap();
    assert_eq!(verdict["files"]["power.json"], hash);
    // The seconds have it too.
    let timeline = fs::read_to_string(bench.out().join("timeline.jsonl")).unwrap();
    assert!(timeline.contains("\"power_w\":250.0"), "{timeline}");
    // And the page: the energy, tokens per joule, watts by the second, who measured.
    let mut report = Command::new(binary());
    report
        .current_dir(bench.dir.path())
        .args(words("report out --output page.html --json page.json"));
    let shown = finish(report, LIMIT);
    assert_eq!(shown.code(), Some(0), "{}{}", shown.stdout, shown.stderr);
    let page = fs::read_to_string(bench.dir.path().join("page.html")).unwrap();
    let figure = |name: &str| {
        let begin = format!("data-name=\"A.{name}\" value=\"");
        let (_, rest) = page
            .split_once(&begin)
            .unwrap_or_else(|| panic!("no {begin}"));
        rest.split('"').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(Some(figure("energy_j")), power.energy_j);
    let per_joule = power.tokens_per_joule.unwrap();
    assert!((figure("tokens_per_j") / per_joule - 1.0).abs() < 1e-9);
    for part in ["Watts", "used is --power-command sh", "Tokens per joule"] {
        assert!(page.contains(part), "{part}");
    }
    let figures = read_json(&bench.dir.path().join("page.json"));
    assert_eq!(figures["runs"][0]["energy_j"].as_f64(), power.energy_j);
    let command = bench.plan()["command"].to_string();
    assert!(command.contains("--power-command sh"), "{command}");
    assert_eq!(meters(&word), 0, "the meter is left");
}

/// Processes with this word among their arguments.
fn meters(word: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|p| fs::read(p.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(word))
        .count()
}

#[test]
fn sources_that_hang_or_lie_are_left_out_and_named() {
    for (what, meter) in [
        ("hangs", "sleep 1000000"),
        ("nonsense", "echo geheim-watt NaN"),
        ("fails", "false"),
        (
            "ends at once, its child stays",
            "sh -c 'sleep 1000000 & exit 3'",
        ),
    ] {
        let bench = Bench::with_conf(&(CONF.to_owned() + ANY_SPEED));
        let done = finish(run(&bench, &["--power-command", meter]), LIMIT);
        let verdict = assert_unharmed(&bench, &done);
        assert!(
            done.stderr.contains("warning: power: --power-command"),
            "{what}: {}",
            done.stderr
        );
        let left_out = &verdict["metrics"]["power"]["left_out"][0];
        assert!(
            left_out.as_str().unwrap().starts_with("--power-command"),
            "{what}: {verdict:#}"
        );
        assert!(
            power(&bench)
                .sources
                .iter()
                .all(|source| !source.name.contains("command")),
            "{what}"
        );
    }
    assert_eq!(meters("1000000"), 0, "a meter is left");
}

/// Answers a few times, then is gone.
#[test]
fn a_prometheus_that_vanishes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://user:{SECRET}@{}/metrics?key={SECRET}",
        listener.local_addr().unwrap()
    );
    let server = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let body = "DCGM_FI_DEV_POWER_USAGE{gpu=\"0\",UUID=\"GPU-0\"} 400\n";
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    // Longer than two readings and a gap that would still be believed.
    let conf = CONF.replace("3000", "15000").replace("200\n", "40\n") + ANY_SPEED;
    let bench = Bench::with_conf(&conf);
    let done = finish(run(&bench, &["--power-prometheus", &url]), LIMIT);
    let verdict = assert_unharmed(&bench, &done);
    server.join().unwrap();
    assert!(
        done.stderr.contains("warning: power: --power-prometheus"),
        "{}",
        done.stderr
    );
    assert_eq!(
        verdict["metrics"]["power"]["energy_j"],
        Value::Null,
        "{verdict:#}"
    );
}

/// NVIDIA's library, as the emulator of its driver would be one.
#[test]
fn nvml_of_the_systems_library_path_is_asked() {
    let bench = Bench::with_conf(&(CONF.to_owned() + ANY_SPEED));
    let library = bench.dir.path().join("libnvidia-ml.so.1");
    let compiled = Command::new("cc")
        .args(["-O1", "-fPIC", "-shared", "-DGOOD"])
        .arg(repository().join("crates/telemetry/tests/telemetry/nvml.c"))
        .arg("-o")
        .arg(&library)
        .status()
        .expect("a C compiler, as LoadGen needs one for C++");
    assert!(compiled.success());
    let mut command = run(&bench, &[]);
    command.env("LD_LIBRARY_PATH", bench.dir.path());
    let done = finish(command, LIMIT);
    let verdict = assert_unharmed(&bench, &done);
    assert_eq!(verdict["metrics"]["power"]["source"], "NVML", "{verdict:#}");
    let timeline = fs::read_to_string(bench.out().join("timeline.jsonl")).unwrap();
    assert!(timeline.contains("\"clock_mhz\":1755.0"), "{timeline}");
}

/// A signal, or a run that fails, takes the meter along.
#[test]
fn no_way_out_leaves_a_meter() {
    for way in ["TERM", "TERM twice", "failed", "hopeless"] {
        let word = format!("meter-{}-{}", std::process::id(), way.replace(' ', "-"));
        let bench = Bench::with_conf(
            &(CONF.replace("3000", "600000") + "gpt-oss-120b.Server.ttft_latency = 5\n"),
        );
        let meter = format!("sh -c 'trap \"\" TERM; while :; do echo 5; sleep 0.1; done' {word}");
        let mut command = run(&bench, &["--power-command", &meter]);
        match way {
            "failed" => drop(command.args(["--drill", "error@300"])),
            "hopeless" => drop(command.arg("--stop-hopeless")),
            _ => {}
        }
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if way.starts_with("TERM") {
            until(|| bench.out().join("timeline.jsonl").exists() && meters(&word) > 1);
            let pid = rustix::process::Pid::from_child(&child);
            let kill = || rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            kill().unwrap();
            if way == "TERM twice" {
                let _ = kill();
            }
        }
        let status = child.wait().unwrap();
        assert!(!status.success(), "{way}");
        until(|| meters(&word) == 0);
    }
}

fn until(holds: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Before anything is written.
#[test]
fn what_cannot_be_a_source_is_refused() {
    let bench = Bench::with_conf(CONF);
    for (args, parts) in [
        (
            ["--power-command", "/no/such/meter geheim42"],
            ["--power-command", "found no such file"],
        ),
        (
            ["--power-command", "'"],
            ["--power-command", "a quote that is not closed"],
        ),
        (
            ["--power-prometheus", "ftp://u:geheim42@h"],
            ["--power-prometheus", "expected"],
        ),
    ] {
        let done = finish(run(&bench, &args), LIMIT);
        done.refused(&parts);
        assert!(!done.stderr.contains(SECRET), "{}", done.stderr);
        assert!(!Path::exists(&bench.out()));
    }
}
