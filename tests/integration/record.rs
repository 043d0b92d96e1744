//! The record that a run leaves: beside what LoadGen logged, when it cannot be written, when the run is killed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ossmark_dataset::{Dataset, file_sha256};
use ossmark_logs::DETAIL;
use ossmark_logs::detail_log::DetailLog;
use ossmark_record::{JOURNAL, Record, Row, SAMPLES, State, TIMELINE, percentile};
use serde_json::{Value, json};

use crate::common::{ANY_SPEED, Bench, Done, SHORT_CONF, answers, binary, finish, repository};
use crate::rehearsal::data;

const LIMIT: Duration = Duration::from_secs(300);

/// As many samples as the benchmark's data set has, issued within seconds.
const WHOLE_SET: &str = "\
gpt-oss-120b.*.performance_sample_count_override = 6396
*.Offline.min_duration = 0
*.Offline.min_query_count = 6396
*.Offline.target_qps = 1
*.Server.min_duration = 0
*.Server.min_query_count = 6396
*.Server.target_qps = 800
";

fn ossmark(dir: &Path, args: &[&str]) -> Done {
    let mut command = Command::new(binary());
    command.current_dir(dir).args(args);
    finish(command, LIMIT)
}

/// A percentile of a latency of rows, as LoadGen takes it.
fn at(share: f64, rows: &[Row], of: impl Fn(&Row) -> Option<i64>) -> f64 {
    let mut values: Vec<i64> = rows.iter().filter_map(of).collect();
    assert_eq!(values.len(), rows.len());
    values.sort_unstable();
    percentile(&values, share).unwrap() as f64
}

/// A figure of LoadGen's.
fn logged(log: &DetailLog, key: &str) -> f64 {
    let value = log.values(key).next_back();
    let value = value.unwrap_or_else(|| panic!("no {key}"));
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    number.unwrap_or_else(|| panic!("{key}: {value}"))
}

#[track_caller]
fn within_1_percent(name: &str, ours: f64, loadgens: f64) {
    assert!(
        (ours / loadgens - 1.0).abs() < 0.01,
        "{name}: {ours} of the record, {loadgens} of LoadGen"
    );
}

#[test]
fn counts_tokens_and_percentiles_are_loadgens() {
    // Prompts and answers of the benchmark's lengths.
    let data = tempfile::tempdir().unwrap();
    data::write(data.path(), &repository().join("demo")).unwrap();
    let file = |name: &str| data.path().join(name).to_str().unwrap().to_owned();
    let (prompts, script) = (
        file("performance.parquet"),
        file("performance_script.parquet"),
    );
    let dataset = Dataset::open(prompts.as_ref()).unwrap();
    let lengths: Vec<u32> = dataset.prompts.iter().map(|p| p.len() as u32).collect();
    for scenario in ["offline", "server"] {
        let bench = Bench::with_conf(&(WHOLE_SET.to_owned() + ANY_SPEED));
        // Slow enough that what one clock reads later than the other is little of it.
        let args = [
            "--dataset",
            &prompts,
            "--echo-script",
            &script,
            "--echo-ttft-ms",
            "100",
            "--echo-tpot-ms",
            "2",
        ];
        let done = finish(bench.echo(scenario, "performance", &args), LIMIT);
        assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
        let verdict = bench.verdict();
        let metrics = &verdict["metrics"];
        let record = Record::open(&bench.out()).unwrap();
        assert!(record.is_complete(), "{scenario}: {record:?}");
        let rows = &record.rows;
        assert_eq!(rows.len(), 6396);
        assert_eq!(metrics["samples_completed"], 6396);
        assert_eq!(
            metrics["record"],
            json!({ "rows": 6396, "lost": 0, "reason": null })
        );
        // In order of issue, each sample once.
        assert!(rows.iter().map(|row| row.request).eq(0..6396));
        let mut samples: Vec<u32> = rows.iter().map(|row| row.sample_index).collect();
        samples.sort_unstable();
        assert!(samples.into_iter().eq(0..6396));

        for row in rows {
            assert_eq!(row.prompt_tokens, lengths[row.sample_index as usize]);
        }

        let log = DetailLog::read(&bench.out().join(DETAIL)).unwrap();
        let tokens: u64 = rows.iter().map(|row| u64::from(row.output_tokens)).sum();
        assert_eq!(metrics["output_tokens"], tokens);
        let per_second = |what: &str| match scenario {
            "offline" => logged(&log, &format!("result_{what}_per_second")),
            _ => logged(
                &log,
                &format!(
                    "result_completed_{what}_per_sec{}",
                    if what == "tokens" { "ond" } else { "" }
                ),
            ),
        };
        let per_sample = per_second("tokens") / per_second("samples");
        // Server's rate leaves the first sample out; the log has six digits of each.
        let counted = if scenario == "server" { 6395.0 } else { 6396.0 };
        assert!(
            (per_sample * counted / tokens as f64 - 1.0).abs() < 2e-5,
            "{per_sample} {tokens}"
        );

        let latency = at(0.99, rows, Row::latency_ns);
        let loadgens = logged(&log, "result_99.00_percentile_latency_ns");
        if scenario == "server" {
            // Between our clock and LoadGen's a busy machine may do something else: not for half of the samples.
            within_1_percent(
                "TPOT",
                at(0.5, rows, Row::tpot_ns),
                logged(&log, "result_time_per_output_token_50.00_percentile_ns"),
            );
            within_1_percent(
                "TTFT",
                at(0.99, rows, Row::ttft_ns),
                logged(&log, "result_first_token_99.00_percentile_latency_ns"),
            );
        }
        within_1_percent("latency", latency, loadgens);
        // The schedule is known of every sample, begins the test, and nothing is issued before its time.
        assert_eq!(rows[0].scheduled_ns, Some(0));
        for row in rows {
            let scheduled = row.scheduled_ns.unwrap();
            assert!((0..=row.issued_ns.unwrap()).contains(&scheduled), "{row:?}");
            assert!(scenario == "server" || scheduled == 0, "{row:?}");
        }

        // The last line of the timeline is the whole run.
        let mut timeline = record.timeline().unwrap().unwrap();
        let mut seconds = Vec::new();
        while let Some(second) = timeline.next_second().unwrap() {
            seconds.push(second);
        }
        let last = seconds.last().unwrap();
        assert_eq!(
            (last.issued, last.completed, last.open),
            (Some(6396), Some(6396), Some(0))
        );
        assert_eq!(
            (last.output_tokens, last.input_tokens),
            (
                Some(tokens),
                Some(lengths.iter().map(|n| u64::from(*n)).sum())
            )
        );
        assert!(seconds.is_sorted_by(|a, b| a.t_s < b.t_s && a.completed <= b.completed));
        let limit = |over: Option<u64>| assert_eq!(over, (scenario == "server").then_some(0));
        limit(last.over_ttft);
        limit(last.over_tpot);
        assert_eq!((last.servers.as_ref(), last.running), (None, None));

        // Their hashes are the verdict's.
        for name in [SAMPLES, TIMELINE] {
            let found = file_sha256(&bench.out().join(name)).unwrap();
            assert_eq!(verdict["files"][name], found, "{name}");
        }
        assert!(!bench.out().join(JOURNAL).exists());
        let shown = ossmark(
            bench.dir.path(),
            &["report", "out", "--output", "page.html"],
        );
        assert_eq!(shown.code(), Some(0), "{}\n{}", shown.stdout, shown.stderr);
        if scenario == "server" {
            assert!(
                shown.stdout.contains(
                    "0 of 6,396 samples were over 60,000 ms. LoadGen's early stopping allows 45"
                ),
                "{}",
                shown.stdout
            );
        }
    }
}

#[test]
fn the_record_of_an_accuracy_run_has_its_logs_token_counts() {
    let bench = Bench::new();
    let done = finish(
        bench.echo("server", "accuracy", &["--echo-tokens", "9"]),
        LIMIT,
    );
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    let record = Record::open(&bench.out()).unwrap();
    assert!(record.is_complete(), "{record:?}");
    let mut rows: Vec<(u64, usize)> = record
        .rows
        .iter()
        .map(|row| (row.sample_index.into(), row.output_tokens as usize))
        .collect();
    let log = answers(&bench.out().join("mlperf_log_accuracy.json"));
    let mut log: Vec<(u64, usize)> = log
        .iter()
        .map(|(row, tokens)| (*row, tokens.len()))
        .collect();
    rows.sort_unstable();
    log.sort_unstable();
    assert_eq!(rows, log);
}

/// What an engine says of itself, and which of several answered.
#[test]
fn a_run_on_the_cpu_has_its_engines_figures_and_the_prompts_lengths() {
    let conf = SHORT_CONF.replace("500", "100") + ANY_SPEED;
    let bench = Bench::with_conf(&conf);
    let args = ["--max-new-tokens", "8", "--dp", "2"];
    let done = finish(bench.demo_model("offline", "performance", &args), LIMIT);
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    let record = Record::open(&bench.out()).unwrap();
    let engines: std::collections::BTreeSet<u16> =
        record.rows.iter().map(|row| row.engine).collect();
    assert_eq!(engines.into_iter().collect::<Vec<_>>(), [0, 1]);
    let data = repository().join("demo/perf.parquet");
    let data = Dataset::open(&data).unwrap();
    for row in &record.rows {
        let prompt = &data.prompts[row.sample_index as usize];
        assert_eq!(row.prompt_tokens as usize, prompt.len());
        assert!((2..=8).contains(&row.output_tokens));
        assert!(row.issued_ns <= row.first_token_ns && row.first_token_ns <= row.completed_ns);
    }
    let mut timeline = record.timeline().unwrap().unwrap();
    let (mut seen, mut prompts) = (false, 0);
    while let Some(second) = timeline.next_second().unwrap() {
        seen |= second.kv_blocks > Some(0)
            && second.step_rows_mean > Some(1.0)
            && second.step_ms_mean > Some(0.0);
        prompts = second.input_tokens.unwrap();
    }
    assert_eq!(
        prompts,
        record
            .rows
            .iter()
            .map(|row| u64::from(row.prompt_tokens))
            .sum::<u64>()
    );
    // A run of less than a second has only its last line, when its engines are gone.
    assert!(seen || verdict_seconds(&bench) < 2.0);
}

fn verdict_seconds(bench: &Bench) -> f64 {
    bench.verdict()["metrics"]["elapsed_s"].as_f64().unwrap()
}

#[test]
fn a_run_can_leave_none() {
    let bench = Bench::new();
    let done = finish(bench.echo("server", "performance", &["--no-record"]), LIMIT);
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    for name in [SAMPLES, JOURNAL, TIMELINE] {
        assert!(!bench.out().join(name).exists(), "{name}");
        assert_eq!(bench.verdict()["files"][name], Value::Null);
    }
    assert_eq!(bench.verdict()["metrics"]["record"], Value::Null);
    let dir = bench.dir.path();
    let runs = ossmark(dir, &["runs", "--json", "runs.json"]);
    assert_eq!(runs.code(), Some(0), "{}\n{}", runs.stdout, runs.stderr);
    let shown = ossmark(dir, &["report", "out", "--output", "page.html"]);
    assert_eq!(shown.code(), Some(0), "{}\n{}", shown.stdout, shown.stderr);
    assert!(
        shown.stdout.contains("there is no record of this run"),
        "{}",
        shown.stdout
    );
}

/// The journal, not the logs, grows over the limit.
#[test]
fn a_record_that_there_is_no_room_for_changes_nothing_else() {
    let bench = Bench::with_conf(&(WHOLE_SET.to_owned() + ANY_SPEED));
    let run = bench.echo("server", "performance", &[]);
    // 256 KiB a file: 6396 rows take 350.
    let script = "trap '' XFSZ; ulimit -f 256; exec \"$0\" \"$@\"";
    let mut limited = Command::new("bash");
    limited
        .current_dir(bench.dir.path())
        .args(["-c", script])
        .arg(run.get_program())
        .args(run.get_args());
    let done = finish(limited, LIMIT);
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    let verdict = bench.verdict();
    assert_eq!(verdict["verdict"], "valid");
    let said = &verdict["metrics"]["record"];
    let (rows, lost) = (
        said["rows"].as_u64().unwrap(),
        said["lost"].as_u64().unwrap(),
    );
    assert!(rows > 0 && lost > 0 && rows + lost == 6396, "{said}");
    assert!(said["reason"].as_str().unwrap().contains(JOURNAL), "{said}");
    assert!(
        done.stderr.contains("the run's record is not whole"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr
            .replace(',', "")
            .contains(&format!("lacks {lost} sample")),
        "{}",
        done.stderr
    );
    let record = Record::open(&bench.out()).unwrap();
    assert_eq!((record.rows.len() as u64, record.lost), (rows, lost));
    let shown = ossmark(
        bench.dir.path(),
        &["report", "out", "--output", "page.html"],
    );
    assert!(
        shown.stdout.contains(&format!("{lost} rows were lost")),
        "{}",
        shown.stdout
    );
}

/// Starts a Server run of about this long and waits until it has a journal.
fn started(bench: &Bench) -> std::process::Child {
    let mut command = bench.echo(
        "server",
        "performance",
        &["--echo-ttft-ms", "1", "--echo-tpot-ms", "0.1"],
    );
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("its record has begun", || {
        bench.out().join(TIMELINE).exists()
    });
    child
}

/// Waits until something holds.
#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const SOME_SECONDS: &str = "\
gpt-oss-120b.*.performance_sample_count_override = 64
*.Server.min_duration = 3000
*.Server.target_qps = 1000
*.Server.min_query_count = 662
";

#[test]
fn a_record_that_is_taken_away_changes_nothing_else() {
    for replaced in [false, true] {
        let bench = Bench::with_conf(&(SOME_SECONDS.to_owned() + ANY_SPEED));
        let child = started(&bench);
        fs::remove_file(bench.out().join(JOURNAL)).unwrap();
        fs::remove_file(bench.out().join(TIMELINE)).unwrap();
        if replaced {
            fs::create_dir(bench.out().join(SAMPLES)).unwrap();
        }
        let done = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(0), "{stderr}");
        let verdict = bench.verdict();
        assert_eq!(verdict["verdict"], "valid");
        assert!(
            verdict["metrics"]["record"]["reason"]
                .as_str()
                .unwrap()
                .contains(JOURNAL)
        );
        assert!(stderr.contains("the run's record is not whole"), "{stderr}");
        assert!(
            verdict["files"].get(SAMPLES).is_none() && verdict["files"].get(TIMELINE).is_none()
        );
    }
}

/// `OSSMARK_RECORD_KILLS=50 cargo test --release --test integration record::` kills more of them.
#[test]
fn a_run_that_is_killed_leaves_a_record_up_to_a_second_before() {
    let kills = std::env::var("OSSMARK_RECORD_KILLS").ok();
    let kills: u64 = kills.and_then(|n| n.parse().ok()).unwrap_or(12);
    let mut lines = 0;
    for seed in 0..kills {
        let bench = Bench::with_conf(&(SOME_SECONDS.replace("3000", "600000") + ANY_SPEED));
        let mut child = started(&bench);
        // Any moment does: some before the first second, some after it.
        if seed % 2 == 1 {
            until("a second of it is written", || {
                fs::metadata(bench.out().join(TIMELINE)).unwrap().len() > 0
            });
        }
        std::thread::sleep(Duration::from_millis(31 * seed * seed % 997));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), None, "it had ended");
        let record = Record::open(&bench.out()).unwrap();
        assert_eq!(
            (record.state, &record.damage),
            (State::Cut, &None),
            "{seed}"
        );
        // A line comes every second, after the rows of the samples that it counts.
        let (mut timeline, mut counted) = (record.timeline().unwrap().unwrap(), 0);
        let mut has_lines = false;
        while let Some(second) = timeline.next_second().unwrap() {
            counted = second.completed.unwrap();
            has_lines = true;
        }
        let rows = record.rows.len() as u64 + record.lost;
        assert!(
            rows >= counted,
            "{seed}: {rows} rows, {counted} were completed"
        );
        lines += u64::from(has_lines);
        if seed % 4 != 3 {
            continue;
        }
        let dir = bench.dir.path();
        let shown = ossmark(dir, &["report", "out", "--output", "page.html"]);
        let page = fs::read_to_string(dir.join("page.html")).unwrap();
        assert!(
            page.contains("the run was cut"),
            "{}\n{}",
            shown.stdout,
            shown.stderr
        );
        assert!(shown.stdout.contains("the run was cut"), "{}", shown.stdout);
        let runs = ossmark(dir, &["runs"]);
        assert!(
            runs.code() == Some(0) && runs.stdout.contains("cut"),
            "{}",
            runs.stdout
        );
        let watched = ossmark(dir, &["watch", "out", "--once"]);
        assert!(
            watched.code() == Some(0) && watched.stdout.contains("cut"),
            "{}{}",
            watched.stdout,
            watched.stderr
        );
    }
    assert!(lines >= kills / 2, "{lines}");
    println!("{kills} kills, {lines} after the first second");
}

/// An interrupted run closes its record, and says what became of the samples that were open.
#[test]
fn an_interrupted_run_has_a_record_of_all_that_was_issued() {
    let bench = Bench::with_conf(&(SOME_SECONDS.replace("3000", "60000") + ANY_SPEED));
    let child = started(&bench);
    std::thread::sleep(Duration::from_millis(500));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let record = Record::open(&bench.out()).unwrap();
    assert!(record.is_complete(), "{record:?}");
    let issued = bench.verdict()["metrics"]["samples_issued"]
        .as_u64()
        .unwrap();
    assert_eq!(record.rows.len() as u64, issued);
}
