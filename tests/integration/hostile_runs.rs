//! Run directories damaged at random, and made to take memory or time: whatever they hold, the commands that look at runs end,
//! in time, with an exit code that means something, in processes that may not have more than [`MEMORY_KIB`]. The full number
//! is run by `OSSMARK_ROBUST_RUNS=2000 cargo test --release --test integration hostile_runs -- --nocapture`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ossmark_record::{Counters, End, Row, Settings, begin};
use serde_json::json;

use crate::common::{Bench, binary, finish};

mod damage;

use damage::{Random, damage};

/// Address space of a command: beyond it an allocation fails, and with it the process.
const MEMORY_KIB: u64 = 1 << 20;
const LIMIT: Duration = Duration::from_secs(120);

/// Runs that are good: one with a whole record, one whose record was cut, both with everything that is ever read.
fn good() -> (Bench, [PathBuf; 2]) {
    let bench = Bench::new();
    let made = finish(
        bench.echo("server", "performance", &["--echo-tokens", "8"]),
        LIMIT,
    );
    assert!(made.code().is_some_and(|code| code < 2), "{}", made.stderr);
    let (ended, cut) = (bench.out(), bench.dir.path().join("cut"));
    fs::write(
        ended.join("power.json"),
        json!({"version": 1, "energy_j": 100.5, "source": "NVML", "sources": [{"name": "NVML", "energy_j": 100.5}], "left_out": []})
            .to_string(),
    )
    .unwrap();
    fs::write(
        ended.join("score.json"),
        json!({"exact_match": 83.1, "findings": ["x"], "summary": {"per_dataset": {"aime": {"correct": 1, "total": 2}}}}).to_string(),
    )
    .unwrap();
    fs::create_dir(&cut).unwrap();
    for name in [
        "run_plan.json",
        "verdict.json",
        "mlperf_log_detail.txt",
        "power.json",
        "score.json",
    ] {
        fs::copy(ended.join(name), cut.join(name)).unwrap();
    }
    let counters = || {
        Some(Counters {
            t: Duration::from_secs(1),
            output_tokens: Some(7),
            ..Counters::default()
        })
    };
    let (recorder, writer) = begin(&cut, Settings::default(), counters);
    for request in 0..700 {
        let at = |ms: i64| Some((request as i64 * 10 + ms) * 1_000_000);
        recorder.row(Row {
            request,
            sample_index: request as u32 % 64,
            prompt_tokens: 90,
            output_tokens: 8,
            scheduled_ns: None,
            issued_ns: at(0),
            first_token_ns: at(50),
            completed_ns: at(190),
            end: End::Stop,
            engine: 0,
        });
    }
    // Without its end: the journal as a kill leaves it.
    let journal = cut.join(ossmark_record::JOURNAL);
    let rows = || ossmark_record::Record::open(&cut).is_ok_and(|record| record.rows.len() == 700);
    while !rows() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let bytes = fs::read(&journal).unwrap();
    drop((recorder, writer.finish(LIMIT)));
    fs::remove_file(cut.join(ossmark_record::SAMPLES)).unwrap();
    fs::write(journal, bytes).unwrap();
    (bench, [ended, cut])
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Every command that looks at runs, at one.
fn look(dir: &Path, good: &Path, what: &str) {
    let page = dir.with_extension("html");
    let [dir_, good, page_] = [dir, good, &page].map(|path| path.to_str().unwrap().to_owned());
    let commands = [
        vec!["report", &dir_, "--output", &page_],
        vec!["compare", &dir_, &good],
        vec!["compare", &good, &dir_, "--with", &good, &good],
        vec!["watch", &dir_, "--once"],
        vec!["runs", &dir_],
        vec!["auditor", "anomalies", &dir_],
    ];
    for words in commands {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\"")])
            .arg(binary())
            .args(&words);
        let done = finish(command, LIMIT);
        let said = format!(
            "{what}: {words:?}: {:?}\n{}\n{}",
            done.status, done.stdout, done.stderr
        );
        assert!(done.code().is_some_and(|code| code <= 2), "{said}");
        assert!(!done.stderr.contains("panicked"), "{said}");
        let loud = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(
            !done.stdout.contains(loud) && !done.stderr.contains(loud),
            "{said}"
        );
        assert_eq!(done.code() == Some(2), !done.stderr.is_empty(), "{said}");
    }
    if let Ok(html) = fs::read_to_string(&page) {
        assert!(
            !html.contains("<script") && html.len() < 3 << 20,
            "{what}: {} bytes",
            html.len()
        );
        fs::remove_file(page).unwrap();
    }
}

#[test]
fn damaged_runs_are_looked_at() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let runs = number("OSSMARK_ROBUST_RUNS").unwrap_or(60);
    let seed = number("OSSMARK_ROBUST_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        now.as_nanos() as u64 % 1_000_000_000
    });
    println!("OSSMARK_ROBUST_SEED={seed} OSSMARK_ROBUST_RUNS={runs}");
    let (bench, bases) = good();
    look(&bases[1], &bases[0], "not damaged");
    for n in 0..runs {
        let mut random = Random(seed.wrapping_add(n));
        let dir = bench.dir.path().join(format!("run-{n}"));
        let base = &bases[random.below(bases.len())];
        copy(base, &dir);
        for _ in 0..=random.below(5) {
            damage(&mut random, &dir);
        }
        look(&dir, &bases[0], &format!("seed {seed}, run {n}"));
        fs::remove_dir_all(dir).unwrap();
    }
}

/// Files that take the most memory or time for their size, at the sizes up to which they are read and beyond.
#[test]
fn runs_made_to_take_memory_are_looked_at() {
    const JSON: usize = 4 << 20;
    let (bench, bases) = good();
    let entry = |key: &str, value: &str| {
        format!(
            ":::MLLOG {{\"key\": \"{key}\", \"value\": {value}, \"time_ms\": 1.0, \"namespace\": \"mlperf::logging\", \
                 \"event_type\": \"POINT_IN_TIME\", \"metadata\": {{\"is_error\": false, \"is_warning\": false, \"file\": \"x\", \
                 \"line_no\": 1, \"pid\": 1, \"tid\": 1}}}}\n"
        )
    };
    let list = |bytes: usize| format!("[{}0]", "0,".repeat(bytes / 2 - 200));
    let objects = |bytes: usize| format!("[{}{{}}]", "{\"\":[]},".repeat(bytes / 8 - 200));
    let names = |bytes: usize| {
        let mut text = String::from("{");
        let mut n = 0;
        while text.len() + 40 < bytes {
            text += &format!("\"{n}\":\"{n}\",");
            n += 1;
        }
        text + "\"x\":{}}"
    };
    let mut case = 0;
    let mut with = |what: &str, files: &[(&str, &str)], sparse: &[&str]| {
        case += 1;
        let dir = bench.dir.path().join(format!("case-{case}"));
        copy(&bases[case % 2], &dir);
        for (name, text) in files {
            fs::write(dir.join(name), text).unwrap();
        }
        for name in sparse {
            let file = fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(dir.join(name))
                .unwrap();
            file.set_len(1 << 40).unwrap();
        }
        look(&dir, &bases[0], what);
        fs::remove_dir_all(dir).unwrap();
    };
    let json_files = ["verdict.json", "run_plan.json", "power.json", "score.json"];
    for (what, text) in [
        ("lists", list(JSON)),
        ("objects", objects(JSON)),
        ("fewer objects", objects(790_000)),
        ("names", names(JSON)),
        ("deep", "[".repeat(JSON - 1)),
        (
            "a text",
            format!("{{\"scenario\": \"{}\"}}", "W".repeat(JSON - 100)),
        ),
        (
            "reasons",
            format!(
                "{{\"verdict\": \"invalid\", \"reasons\": [{}\"\"]}}",
                "\"x\",".repeat(JSON / 5)
            ),
        ),
        (
            "faults",
            format!(
                "{{\"verdict\": \"invalid\", \"faults\": [{}{{}}]}}",
                "{\"kind\":\"x\"},".repeat(90_000)
            ),
        ),
    ] {
        with(what, &json_files.map(|name| (name, text.as_str())), &[]);
    }
    for (what, text) in [
        ("a list in the log", entry("effective_x", &list(15 << 20))),
        (
            "two lists in the log",
            entry("effective_x", &list(15 << 20)) + &entry("effective_y", &list(15 << 20)),
        ),
        (
            "objects in the log",
            entry("effective_x", &objects(15 << 20)),
        ),
        (
            "many lines in the log",
            (0..90_000)
                .map(|n| entry(&format!("effective_{n}"), "0"))
                .collect::<String>(),
        ),
        (
            "errors in the log",
            entry("error_runtime", "\"x\"")
                .replace("\"is_error\": false", "\"is_error\": true")
                .repeat(100_000),
        ),
    ] {
        with(what, &[("mlperf_log_detail.txt", &text)], &[]);
    }
    let seconds = "{\"t_s\":1,\"output_tokens\":9,\"gpus\":[{},{},{}]}\n".repeat(200_000);
    with("a long timeline", &[("timeline.jsonl", &seconds)], &[]);
    with(
        "a wide timeline",
        &[(
            "timeline.jsonl",
            &format!("{{\"gpus\":[{}{{}}]}}\n", "{},".repeat(80_000)).repeat(60),
        )],
        &[],
    );
    for name in [
        "verdict.json",
        "run_plan.json",
        "power.json",
        "score.json",
        "mlperf_log_detail.txt",
        "timeline.jsonl",
        "samples.parquet",
        "samples.journal",
    ] {
        with(&format!("a terabyte of {name}"), &[], &[name]);
    }
    // The verdict has a hash of it.
    with(
        "a terabyte that is hashed",
        &[],
        &["mlperf_log_summary.txt"],
    );
    let mut all = bench.dir.path().join("deep");
    for _ in 0..300 {
        fs::create_dir(&all).unwrap();
        let _ = symlink(bench.dir.path(), all.join("up"));
        for n in 0..5 {
            fs::create_dir(all.join(n.to_string())).unwrap();
        }
        all.push("d");
    }
    let done = finish(
        {
            let mut command = Command::new(binary());
            command.arg("runs").arg(bench.dir.path());
            command
        },
        LIMIT,
    );
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    // A heading, and two lines of each of the two runs.
    assert_eq!(done.stdout.lines().count(), 5, "{}", done.stdout);
}
