//! `ossmark infer`: whole, killed and gone on with, refused.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ossmark_dataset::{Cell, Dataset, Table};
use ossmark_record::{Record, Row};

use crate::common::{binary, finish, read_json, repository};

const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn infer(dir: &Path, args: &[&str]) -> Command {
    let demo = repository().join("demo");
    let mut command = Command::new(binary());
    command
        .current_dir(dir)
        .args(["infer", "--output", "out.parquet", "--json", "done.json"])
        .arg("--dataset")
        .arg(demo.join("perf.parquet"))
        .arg("--tokenizer")
        .arg(&demo)
        .args(args);
    command
}

pub(crate) const ROWS: usize = 512;

/// What the echo engine answers: see generator::echo.
fn echoed(row: usize, tokens: usize) -> Vec<u32> {
    (0..tokens)
        .map(|j| ((row * 31 + j) % 200_000) as u32)
        .collect()
}

#[track_caller]
fn check_output(dir: &Path, passes: usize, tokens: usize) {
    let table = Table::open(&dir.join("out.parquet")).unwrap();
    assert_eq!(table.rows(), ROWS);
    let source = Table::open(&repository().join("demo/perf.parquet")).unwrap();
    for column in ["dataset", "ground_truth", "question"] {
        assert_eq!(table.cells(column).unwrap(), source.cells(column).unwrap());
    }
    for pass in 0..passes {
        let answers = table.tokens(&format!("tok_model_output_{pass}")).unwrap();
        for (row, answer) in answers.iter().enumerate() {
            assert_eq!(answer[..], echoed(row, tokens), "row {row}, pass {pass}");
        }
        let lengths = table
            .cells(&format!("tok_model_output_len_{pass}"))
            .unwrap();
        assert!(lengths.iter().all(|n| *n == Cell::Int(tokens as i64)));
        assert!(table.has(&format!("model_output_{pass}")));
    }
    assert!(!table.has(&format!("model_output_{passes}")));
    assert!(!dir.join("out.parquet.journal").exists());
}

/// The record beside the output, whole: a row of every answer with its times.
#[track_caller]
fn record(dir: &Path, passes: usize) -> Vec<Row> {
    let record = Record::open(&dir.join("out.parquet.record")).unwrap();
    assert!(record.is_complete(), "{record:?}");
    let rows = record.rows.clone();
    assert!(
        rows.iter()
            .map(|row| row.request)
            .eq(0..(ROWS * passes) as u64)
    );
    for row in &rows {
        let times = [row.issued_ns, row.first_token_ns, row.completed_ns].map(Option::unwrap);
        assert!(times[0] >= 0 && times.is_sorted(), "{row:?}");
        assert_eq!(row.scheduled_ns, None);
        assert_eq!(row.sample_index as usize, row.request as usize / passes);
    }
    let mut timeline = record.timeline().unwrap().unwrap();
    let mut last = None;
    while let Some(second) = timeline.next_second().unwrap() {
        last = Some(second);
    }
    let tokens = rows.iter().map(|row| u64::from(row.output_tokens)).sum();
    let last = last.unwrap();
    assert_eq!(last.completed, Some(rows.len() as u64));
    assert_eq!(last.output_tokens, Some(tokens));
    rows
}

#[test]
fn every_row_and_pass_is_answered() {
    let tmp = tempfile::tempdir().unwrap();
    let args = [
        "--engine",
        "echo",
        "--pass-k",
        "3",
        "--max-concurrency",
        "100",
    ];
    let done = finish(infer(tmp.path(), &args), LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    check_output(tmp.path(), 3, 32);
    let report = read_json(&tmp.path().join("done.json"));
    assert_eq!(
        (&report["answered"], &report["failed"]),
        (&1536.into(), &0.into())
    );
    let rows = record(tmp.path(), 3);
    let table = Table::open(&tmp.path().join("out.parquet")).unwrap();
    let source = Dataset::open(&repository().join("demo/perf.parquet")).unwrap();
    for pass in 0..3 {
        let times = table.cells(&format!("infer_time_{pass}")).unwrap();
        for (row, took) in times.iter().enumerate() {
            let recorded = &rows[3 * row + pass];
            let seconds = recorded.latency_ns().unwrap() as f64 / 1e9;
            assert!(matches!(took, Cell::Float(s) if (s - seconds).abs() < 1e-9));
            assert_eq!(recorded.output_tokens, 32);
            assert_eq!(recorded.prompt_tokens as usize, source.prompts[row].len());
        }
    }
    assert_eq!(
        report["record"],
        serde_json::json!({ "dir": "out.parquet.record", "rows": 1536 })
    );
    let look = |args: &[&str]| {
        let mut command = Command::new(binary());
        command.current_dir(tmp.path()).args(args);
        let done = finish(command, LIMIT);
        assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
        done.stdout
    };
    let shown = look(&["report", "out.parquet.record", "--output", "page.html"]);
    assert!(shown.contains("Answers of ossmark infer"), "{shown}");
    let listed = look(&["runs"]);
    assert!(
        listed.contains("infer") && listed.contains("echo"),
        "{listed}"
    );
    let watched = look(&["watch", "out.parquet.record", "--once"]);
    assert!(
        watched.contains("1,536 completed") && !watched.contains("verdict"),
        "{watched}"
    );
    // A finished output is not begun again.
    std::fs::remove_file(tmp.path().join("done.json")).unwrap();
    finish(infer(tmp.path(), &args), LIMIT).refused(&["out.parquet", "already exists"]);
}

/// Both interfaces, so that neither changes what the seed was made as.
#[test]
fn sampled_answers_are_the_same_whoever_gives_them() {
    let server = crate::serve::Server::start(&["--engine", "cpu", "--model", "demo"]);
    let (url, demo) = (server.url(), repository().join("demo"));
    let answers = |engine: &[&str]| {
        let tmp = tempfile::tempdir().unwrap();
        let mut args = vec!["--seed", "1", "--temperature", "4", "--max-new-tokens", "6"];
        args.extend(engine);
        let done = finish(infer(tmp.path(), &args), LIMIT);
        assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
        let table = Table::open(&tmp.path().join("out.parquet")).unwrap();
        table.tokens("tok_model_output_0").unwrap()
    };
    let here = answers(&["--engine", "cpu", "--model", demo.to_str().unwrap()]);
    assert_eq!(here.len(), ROWS);
    for api in ["sglang", "openai"] {
        let there = answers(&["--engine", "http", "--endpoint", &url, "--api", api]);
        assert_eq!(there, here, "{api}");
    }
}

#[test]
fn killed_again_and_again_it_loses_and_repeats_nothing() {
    let kills: usize = std::env::var("OSSMARK_INFER_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(4);
    let tmp = tempfile::tempdir().unwrap();
    // Kills go by what is in the journal, not by the clock: the first before there is one, the others some answers later,
    // fewer with more kills, so that work is left for the last call.
    let most = (250_000 / kills.max(1) as u64).min(40_000);
    let args = [
        "--engine",
        "echo",
        "--pass-k",
        "3",
        "--max-concurrency",
        "4",
        "--echo-ttft-ms",
        "5",
    ];
    let journal = tmp.path().join("out.parquet.journal");
    let size = || std::fs::metadata(&journal).map_or(0, |m| m.len());
    let mut sizes = HashSet::new();
    let mut state = 12345u64;
    for _ in 0..kills {
        let mut command = infer(tmp.path(), &args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let target = size() + (state >> 33) % most;
        let began = Instant::now();
        while size() < target && child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < LIMIT, "nothing is added to the journal");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        sizes.insert(size());
    }
    let began = Instant::now();
    let done = finish(infer(tmp.path(), &args), LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    check_output(tmp.path(), 3, 32);
    // Whichever process asked, on one time line.
    record(tmp.path(), 3);
    // Some kill came in the middle, and the last call had less to do than all.
    assert!(sizes.len() > 1, "{sizes:?}");
    let report = read_json(&tmp.path().join("done.json"));
    assert_eq!(report["answered"], 1536);
    assert!(report["answered_now"].as_u64().unwrap() < 1536);
    println!(
        "{kills} kills, {} journal sizes, last call {:?}",
        sizes.len(),
        began.elapsed()
    );
}

#[test]
fn a_journal_of_other_settings_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let slow = [
        "--engine",
        "echo",
        "--echo-ttft-ms",
        "300",
        "--echo-slots",
        "2",
        "--seed",
        "1",
    ];
    let mut child = infer(tmp.path(), &slow)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let journal = tmp.path().join("out.parquet.journal");
    let size = || std::fs::metadata(&journal).map_or(0, |m| m.len());
    let wait_for_more_than = |bytes| {
        let began = Instant::now();
        while size() <= bytes && began.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    // Its head, then an answer: a journal without one gives way to other settings.
    wait_for_more_than(0);
    wait_for_more_than(size());
    // While it runs, nobody else may write there.
    let args = ["--engine", "echo", "--seed", "2"];
    finish(infer(tmp.path(), &args), LIMIT).refused(&["another process"]);
    child.kill().unwrap();
    child.wait().unwrap();
    finish(infer(tmp.path(), &args), LIMIT).refused(&["seed was 1, is 2", "--output"]);
    // Moved aside, it is no hindrance.
    let quick = ["--engine", "echo", "--force"];
    assert_eq!(finish(infer(tmp.path(), &quick), LIMIT).code(), Some(0));
    assert!(tmp.path().join("out.parquet.journal.old.1").exists());
    // Neither is an output that is there.
    let old = tmp.path().join("out.parquet.record.old.1");
    assert!(!old.exists());
    assert_eq!(finish(infer(tmp.path(), &quick), LIMIT).code(), Some(0));
    assert!(tmp.path().join("out.parquet.old.1").exists() && old.exists());
    // A record is no output of a command that leaves none.
    std::fs::remove_file(tmp.path().join("out.parquet")).unwrap();
    std::fs::remove_file(tmp.path().join("done.json")).unwrap();
    let args = ["--engine", "echo"];
    finish(infer(tmp.path(), &args), LIMIT).refused(&["out.parquet.record", "--force"]);
    let args = ["--engine", "echo", "--no-record"];
    assert_eq!(finish(infer(tmp.path(), &args), LIMIT).code(), Some(0));
    let report = read_json(&tmp.path().join("done.json"));
    assert_eq!(report["record"], serde_json::Value::Null);
}

#[test]
fn bad_options_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    for (args, parts) in [
        (&["--engine", "http"][..], &["--endpoint"][..]),
        (
            &["--engine", "http", "--endpoint", "a:1"],
            &["a:1", "http://"],
        ),
        (
            &["--engine", "http", "--endpoint", "http://127.0.0.1:1"],
            &["127.0.0.1:1", "connect"],
        ),
        (
            &["--engine", "echo", "--endpoint", "http://a"],
            &["--endpoint"],
        ),
        (&["--engine", "echo", "--timeout", "0"], &["--timeout"]),
        (&["--engine", "echo", "--hold", "5"], &["--hold", "http"]),
        (
            &["--engine", "http", "--endpoint", "http://a", "--hold=-1"],
            &["--hold -1"],
        ),
        (
            &["--engine", "echo", "--max-concurrency", "0"],
            &["--max-concurrency"],
        ),
        (&["--engine", "echo", "--top-p", "2"], &["top_p"]),
    ] {
        finish(infer(tmp.path(), args), LIMIT).refused(parts);
    }
}

/// Columns that nothing can be done with: no command minds them, and infer passes them on.
#[test]
fn columns_of_any_type_are_no_obstacle_and_are_passed_on() {
    use parquet::data_type::{FixedLenByteArray, Int32Type};
    use parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
    let tmp = tempfile::tempdir().unwrap();
    let schema = "message m {
        optional group input_tokens (LIST) { repeated group list { optional int32 element; } }
        required fixed_len_byte_array(16) id (UUID);
        required fixed_len_byte_array(12) question_id (INTERVAL);
        optional group map (MAP) { repeated group key_value { required int32 key; } }
        optional int32 model_output_0 (DATE); }";
    let schema = parquet::schema::parser::parse_message_type(schema).unwrap();
    let file = std::fs::File::create(tmp.path().join("in.parquet")).unwrap();
    let properties = WriterProperties::builder().build();
    let mut writer = SerializedFileWriter::new(file, schema.into(), properties.into()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for lists in [Some(3i16), None, None, Some(2), None] {
        let mut column = group.next_column().unwrap().unwrap();
        match (lists, column.untyped()) {
            (Some(deep), _) => {
                let column = column.typed::<Int32Type>();
                column
                    .write_batch(&[5, 6], Some(&[deep; 2]), Some(&[0, 0]))
                    .unwrap();
            }
            (None, parquet::column::writer::ColumnWriter::Int32ColumnWriter(column)) => {
                column.write_batch(&[], Some(&[0; 2]), None).unwrap();
            }
            (
                None,
                parquet::column::writer::ColumnWriter::FixedLenByteArrayColumnWriter(column),
            ) => {
                let width = column.get_descriptor().type_length() as usize;
                let values = [0xff, 0xfe].map(|byte| FixedLenByteArray::from(vec![byte; width]));
                column.write_batch(&values, None, None).unwrap();
            }
            _ => unreachable!(),
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();

    let mut command = Command::new(binary());
    command
        .current_dir(tmp.path())
        .args(["dataset", "inspect", "--dataset", "in.parquet"]);
    let done = finish(command, LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let mut command = Command::new(binary());
    command
        .current_dir(tmp.path())
        .args(["infer", "--output", "out.parquet", "--json", "done.json"])
        .args(["--dataset", "in.parquet", "--engine", "echo", "--tokenizer"])
        .arg(repository().join("demo"));
    let done = finish(command, LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert!(
        done.stderr
            .contains("'model_output_0' of the data set is left out"),
        "{}",
        done.stderr
    );
    let report = read_json(&tmp.path().join("done.json"));
    assert_eq!(report["left_out"].as_array().unwrap().len(), 1);
    let table = Table::open(&tmp.path().join("out.parquet")).unwrap();
    assert_eq!(
        table.columns()[..4],
        ["input_tokens", "id", "question_id", "map"]
    );
    assert_eq!(table.columns().len(), 8);
    let id = table.cells("id").unwrap();
    assert_eq!(
        id[0],
        Cell::Text("ffffffff-ffff-ffff-ffff-ffffffffffff".into())
    );
}
