//! Runs from directories: whole ones, old ones, cut ones, changed ones, damaged ones.
#![allow(clippy::disallowed_methods, reason = "tests make what they open")]

mod made;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use made::{Dice, server};
use ossmark_record::{Settings, begin};
use ossmark_report::{
    Completeness, Depth, FLOOR, Figures, Run, Summary, compare, page, read, runs,
};
use serde_json::{Value, json};

/// A detail log with these entries, in order.
fn log(entries: &[(&str, Value)]) -> String {
    let line = |(key, value): &(&str, Value)| {
        let entry = json!({"key": key, "value": value, "time_ms": 1.5, "namespace": "mlperf::logging",
            "event_type": "POINT_IN_TIME", "metadata": {"is_error": false, "is_warning": false, "file": "results.cc",
            "line_no": 1, "pid": 7, "tid": 8}});
        format!(":::MLLOG {entry}\n")
    };
    entries.iter().map(line).collect()
}

fn server_log() -> String {
    log(&[
        ("test_datetime", json!("2026-11-29T19:42:49Z")),
        ("sut_name", json!("ossmark (echo)")),
        ("requested_server_ttft_latency", json!(3_000_000_000u64)),
        ("requested_server_tpot_latency", json!(80_000_000)),
        ("effective_scenario", json!("Server")),
        ("effective_test_mode", json!("PerformanceOnly")),
        (
            "result_first_token_99.00_percentile_latency_ns",
            json!(179_776_492),
        ),
        (
            "result_time_per_output_token_99.00_percentile_ns",
            json!(4_081_701),
        ),
        ("result_completed_tokens_per_second", json!(11898.4)),
        ("result_validity", json!("VALID")),
        ("num_errors", json!(0)),
    ])
}

/// A run of so many samples with a record, as ossmark leaves it.
fn write_run(dir: &Path, samples: u64) -> Run {
    let made = server(11, samples, 1.0);
    let (recorder, writer) = begin(dir, Settings::default(), || None);
    made.rows.iter().for_each(|row| recorder.row(*row));
    let outcome = writer.finish(Duration::from_secs(60));
    assert_eq!((outcome.rows, outcome.lost), (samples, 0), "{outcome:?}");
    fs::write(dir.join("mlperf_log_detail.txt"), server_log()).unwrap();
    fs::write(
        dir.join("run_plan.json"),
        json!({"engine": "echo", "scenario": "server", "mode": "performance"}).to_string(),
    )
    .unwrap();
    let names = ["mlperf_log_detail.txt", "run_plan.json", "samples.parquet"];
    let hash = |name: &str| ossmark_dataset::file_sha256(&dir.join(name)).unwrap();
    let files: BTreeMap<&str, String> = names.map(|name| (name, hash(name))).into();
    let verdict = json!({"verdict": "valid", "settings": "test", "scenario": "server", "mode": "performance", "files": files,
        "deviations": [], "reasons": [], "faults": [], "metrics": {}, "loadgen": {"result": "VALID", "errors": 0, "warnings": 0}});
    fs::write(dir.join("verdict.json"), verdict.to_string()).unwrap();
    made
}

#[test]
fn a_run_is_read_as_it_was_written() {
    let tmp = tempfile::tempdir().unwrap();
    let made = write_run(tmp.path(), 1000);
    let run = read(tmp.path(), Depth::Page).unwrap();
    assert_eq!(
        (&run.rows, &run.record),
        (&made.rows, &Completeness::Complete)
    );
    assert!(run.problems.is_empty(), "{:?}", run.problems);
    assert!(run.files.len() == 3 && run.files.iter().all(|file| file.is_same()));
    let summary = Summary::of(&run);
    assert!(summary.complete);
    assert_eq!(
        (summary.samples, summary.tokens_per_s),
        (Some(1000), Some(11898.4))
    );
    assert_eq!(
        summary
            .limits
            .iter()
            .map(|limit| limit.over)
            .collect::<Vec<_>>(),
        [Some(0), Some(0)]
    );
    // What scripts read: the names of the contract.
    let json = serde_json::to_value(Figures::of(&run)).unwrap();
    for name in [
        "dir",
        "scenario",
        "mode",
        "verdict",
        "settings",
        "tokens_per_s",
        "samples",
        "output_tokens",
        "steady",
        "energy_j",
        "complete",
    ] {
        assert!(json.get(name).is_some(), "{name}");
    }
    let limit: Vec<&str> = json["limits"][0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    for name in ["name", "p99_ms", "limit_ms", "over", "allowed_over"] {
        assert!(limit.contains(&name), "{name}");
    }
    assert_eq!(json["limits"][0]["name"], "ttft");
}

#[test]
fn changed_and_missing_files_are_said() {
    let tmp = tempfile::tempdir().unwrap();
    write_run(tmp.path(), 50);
    fs::write(
        tmp.path().join("mlperf_log_detail.txt"),
        server_log() + &server_log(),
    )
    .unwrap();
    fs::write(tmp.path().join("run_plan.json"), "{}").unwrap();
    fs::remove_file(tmp.path().join("samples.parquet")).unwrap();
    let verdict = fs::read_to_string(tmp.path().join("verdict.json")).unwrap();
    let outside = verdict.replace(
        "\"run_plan.json\"",
        "\"../../etc/passwd\":\"aa\",\"run_plan.json\"",
    );
    fs::write(tmp.path().join("verdict.json"), outside).unwrap();
    let run = read(tmp.path(), Depth::Page).unwrap();
    assert!(
        run.files.iter().all(|file| !file.is_same()),
        "{:?}",
        run.files
    );
    let outside = run
        .files
        .iter()
        .find(|file| file.name.contains("etc"))
        .unwrap();
    assert!(
        outside
            .found
            .as_ref()
            .unwrap_err()
            .contains("no name of a file"),
        "{outside:?}"
    );
    let notices = Figures::of(&run).notices.join("\n");
    assert!(
        notices.contains("run_plan.json is not the file that the verdict was given on"),
        "{notices}"
    );
    assert!(
        notices.contains("samples.parquet, which verdict.json has a hash of"),
        "{notices}"
    );
}

#[test]
fn a_run_that_was_cut_is_read_and_called_so() {
    let tmp = tempfile::tempdir().unwrap();
    let made = server(12, 300, 1.0);
    let (recorder, writer) = begin(tmp.path(), Settings::default(), || None);
    made.rows.iter().for_each(|row| recorder.row(*row));
    drop((recorder, writer));
    // The writer's thread begins and ends when it gets to it; it ends when nobody can send any more.
    let mut run = Run::default();
    for _ in 0..600 {
        run = read(tmp.path(), Depth::Page).unwrap_or_default();
        match &run.record {
            Completeness::Incomplete(why)
                if run.rows.len() == 300 && why[0].contains("the run was cut") =>
            {
                break;
            }
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
    assert_eq!(run.rows, made.rows);
    let figures = Figures::of(&run);
    assert!(
        !figures.summary.complete && figures.notices[0].contains("the run was cut"),
        "{:?}",
        figures.notices
    );
}

#[test]
fn old_runs_are_listed_from_their_logs_the_latest_first() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = |name: &str| {
        let dir = tmp.path().join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    };
    fs::write(dir("a/old").join("mlperf_log_detail.txt"), server_log()).unwrap();
    fs::write(
        dir("b/c/later").join("mlperf_log_detail.txt"),
        server_log().replace("2026-11-29", "2026-12-01"),
    )
    .unwrap();
    fs::write(
        dir("planned").join("run_plan.json"),
        "{\"scenario\":\"offline\",\"mode\":\"accuracy\"}",
    )
    .unwrap();
    fs::write(dir("broken").join("verdict.json"), "{").unwrap();
    fs::write(dir(".hidden").join("verdict.json"), "{}").unwrap();
    dir("empty");
    std::os::unix::fs::symlink(tmp.path(), tmp.path().join("a/around")).unwrap();
    let found = runs(tmp.path()).unwrap();
    let names: Vec<&str> = found
        .iter()
        .map(|run| run.dir.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(names, ["later", "old", "broken", "planned"]);
    let old = &found[1];
    assert_eq!(
        (
            old.scenario.as_deref(),
            old.mode.as_deref(),
            old.loadgen_result.as_deref()
        ),
        (Some("server"), Some("performance"), Some("VALID"))
    );
    assert_eq!(
        (old.verdict.as_deref(), old.tokens_per_s, old.samples),
        (None, Some(11898.4), None)
    );
    let p99s: Vec<_> = old
        .limits
        .iter()
        .map(|limit| (limit.p99_ms, limit.over))
        .collect();
    assert_eq!(p99s, [(Some(179.776492), None), (Some(4.081701), None)]);
    assert!(old.complete && !found[2].complete);
    assert!(runs(&tmp.path().join("none")).is_err());
}

#[test]
fn what_is_no_run_is_an_error_that_says_what_one_is() {
    let tmp = tempfile::tempdir().unwrap();
    let error = read(tmp.path(), Depth::Page).unwrap_err().to_string();
    assert!(
        error.contains("found no run there") && error.contains("mlperf_log_detail.txt"),
        "{error}"
    );
}

/// What is larger than a run's file can be is not read, and said; holes take no room on the disk.
#[test]
fn files_that_are_too_large_are_said_and_not_read() {
    let tmp = tempfile::tempdir().unwrap();
    let sparse = |name: &str, bytes: u64| {
        let file = fs::File::create(tmp.path().join(name)).unwrap();
        file.set_len(bytes).unwrap();
    };
    let verdict = json!({"files": {"mlperf_log_accuracy.json": "00", "run_plan.json": "00"}});
    fs::write(tmp.path().join("verdict.json"), verdict.to_string()).unwrap();
    fs::write(
        tmp.path().join("score.json"),
        format!("[{}0]", "{},".repeat(100_000)),
    )
    .unwrap();
    sparse("mlperf_log_accuracy.json", 1 << 40);
    sparse("mlperf_log_detail.txt", (16 << 20) + 1);
    sparse("run_plan.json", (4 << 20) + 1);
    let run = read(tmp.path(), Depth::Page).unwrap();
    let said = run.problems.join("; ");
    for part in [
        "run_plan.json is not what ossmark writes: it is larger than 4194304 bytes",
        "score.json is not what ossmark writes: it has more than 100000 lists and objects",
        "mlperf_log_detail.txt is not read: it has 16777217 bytes",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let [accuracy, plan] = &run.files[..] else {
        panic!("{:?}", run.files)
    };
    assert!(
        accuracy
            .found
            .as_ref()
            .unwrap_err()
            .contains("hashed up to 2147483648 bytes")
    );
    // What is not too large is hashed all the same.
    assert_eq!(plan.found.as_ref().unwrap().len(), 64);
    assert!(!Summary::of(&run).complete);
}

/// Files cut, overwritten, emptied, exchanged: everything that is made of them still is made.
#[test]
fn damaged_runs_have_pages() {
    let good = tempfile::tempdir().unwrap();
    write_run(good.path(), 200);
    fs::write(
        good.path().join("timeline.jsonl"),
        "{\"t_s\":1,\"open\":3,\"power_w\":1e308}\n{\"t_s\":-1e300}\n",
    )
    .unwrap();
    fs::write(good.path().join("power.json"), "{\"energy_j\":-1e308}").unwrap();
    fs::write(
        good.path().join("score.json"),
        "{\"exact_match\":1,\"summary\":{\"per_dataset\":{\"a\":{\"total\":1}}}}",
    )
    .unwrap();
    let names: Vec<_> = fs::read_dir(good.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let mut dice = Dice::new(5);
    let tmp = tempfile::tempdir().unwrap();
    for round in 0..200 {
        let dir = tmp.path().join(round.to_string());
        fs::create_dir(&dir).unwrap();
        for name in &names {
            let mut bytes = fs::read(good.path().join(name)).unwrap();
            let at = |dice: &mut Dice, n: usize| (dice.share() * n as f64 * 0.999) as usize;
            for _ in 0..at(&mut dice, 4) {
                let (place, length) = (at(&mut dice, bytes.len()), bytes.len());
                match at(&mut dice, 6) {
                    0 => bytes.truncate(place),
                    1 => bytes.clear(),
                    2 => bytes.insert(0, b'['),
                    _ if length == 0 => {}
                    3 => bytes[place] ^= 1 << at(&mut dice, 8),
                    4 => bytes[place..(place + 8).min(length)].fill(0xff),
                    _ => bytes[place..(place + 3).min(length)]
                        .copy_from_slice(&b"-99"[..3.min(length - place)]),
                };
            }
            fs::write(dir.join(name), bytes).unwrap();
        }
        let run = read(&dir, Depth::Page).unwrap();
        let figures = Figures::of(&run);
        let comparison = compare(
            std::slice::from_ref(&run),
            std::slice::from_ref(&run),
            FLOOR,
        );
        assert!(
            comparison.metrics.iter().all(|metric| metric.ratio == 1.0),
            "{round}: {comparison:?}"
        );
        assert!(page(&[(run, figures)]).len() < 2_000_000, "{round}");
    }
    assert_eq!(runs(tmp.path()).unwrap().len(), 200);
}
