//! A run from its directory. Nothing in there is believed: every file is read up to a bound, and what cannot be read becomes a
//! sentence beside what can.

use std::io::Read;
use std::path::Path;

use ossmark_files::{Brief, Escaped};
use ossmark_logs::DETAIL;
use ossmark_logs::detail_log::{DetailLog, Entry};
use ossmark_record::{Record, Second, State};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::run::{Completeness, Hashed, Log, Run, number};

/// The largest JSON file that is read whole, and how many lists and objects it may begin; a verdict is a few KiB. In memory a
/// byte takes up to 16, and hundreds where it begins an object.
const MAX_JSON: u64 = 4 << 20;
const MAX_JSON_PARTS: usize = 100_000;
/// The largest detail log that is read. A whole run's has some 40 KB, a broken one's two lines a sample besides.
const MAX_LOG: u64 = 16 << 20;
/// More files than a run has.
const MAX_FILES: usize = 64;
/// What is hashed of them together. The longest accuracy logs have half a gigabyte.
const MAX_HASHED: u64 = 2 << 30;

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// All.
    Page,
    /// Without the seconds and without hashing files: for lists and comparisons.
    Line,
    /// The plan and the verdict only.
    Stated,
}

/// What no run has been read from.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: found no run there, expected a directory with {DETAIL}, verdict.json, run_plan.json or samples.parquet, such as \
     `ossmark run --output` leaves",
    Escaped::path(.dir)
)]
pub struct NoRun {
    /// The directory.
    pub dir: std::path::PathBuf,
}

/// Reads the run in `dir`.
///
/// # Errors
///
/// There is no file of a run at all. Everything else is in [`Run::problems`].
pub fn read(dir: &Path, depth: Depth) -> Result<Run, NoRun> {
    if !is_run(dir) {
        return Err(NoRun { dir: dir.into() });
    }
    let mut run = Run {
        dir: dir.into(),
        ..Run::default()
    };
    run.verdict = json(dir, "verdict.json", &mut run.problems);
    run.plan = json(dir, "run_plan.json", &mut run.problems).unwrap_or_default();
    if depth == Depth::Stated {
        return Ok(run);
    }
    run.score = json(dir, "score.json", &mut run.problems).unwrap_or_default();
    run.power = json(dir, "power.json", &mut run.problems).unwrap_or_default();
    run.energy_j = run.power.get("energy_j").and_then(number);
    read_log(&mut run);
    read_record(&mut run, depth);
    if depth == Depth::Page {
        run.files = hashes(&run);
    }
    Ok(run)
}

/// Whether something of a run lies in `dir`.
pub fn is_run(dir: &Path) -> bool {
    [
        DETAIL,
        "verdict.json",
        "run_plan.json",
        ossmark_record::SAMPLES,
        ossmark_record::JOURNAL,
    ]
    .iter()
    .any(|name| dir.join(name).is_file())
}

fn json<T: DeserializeOwned>(dir: &Path, name: &str, problems: &mut Vec<String>) -> Option<T> {
    let path = dir.join(name);
    let file = match ossmark_files::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            problems.push(format!("{name} cannot be read: {error}"));
            return None;
        }
    };
    let mut text = Vec::new();
    let read = file.take(MAX_JSON + 1).read_to_end(&mut text);
    let parsed = match read {
        Err(error) => Err(error.to_string()),
        Ok(bytes) if bytes as u64 > MAX_JSON => Err(format!("it is larger than {MAX_JSON} bytes")),
        Ok(_) if parts(&text) > MAX_JSON_PARTS => Err(format!(
            "it has more than {MAX_JSON_PARTS} lists and objects"
        )),
        Ok(_) => serde_json::from_slice(&text).map_err(|error| error.to_string()),
    };
    match parsed {
        Ok(value) => Some(value),
        Err(error) => {
            problems.push(format!(
                "{name} is not what ossmark writes: {}",
                Brief(&error)
            ));
            None
        }
    }
}

/// How many lists and objects a text begins, at most: brackets in strings count as well.
fn parts(text: &[u8]) -> usize {
    text.iter().filter(|b| matches!(b, b'[' | b'{')).count()
}

fn read_log(run: &mut Run) {
    let path = run.dir.join(DETAIL);
    let Ok(found) = std::fs::metadata(&path) else {
        return;
    };
    if found.len() > MAX_LOG {
        run.problems.push(format!(
            "{DETAIL} is not read: it has {} bytes, expected at most {MAX_LOG}",
            found.len()
        ));
        return;
    }
    match DetailLog::read(&path) {
        Ok(log) => {
            run.log = Some(Log {
                requested: plain(&log, "requested_"),
                effective: plain(&log, "effective_"),
                results: plain(&log, "result_"),
                date: log.str("test_datetime").map(str::to_owned),
                sut: log.str("sut_name").map(str::to_owned),
                complete: log.is_complete(),
                error_count: log.error_count,
                errors: log.errors,
            });
        }
        Err(error) => run.problems.push(error.to_string()),
    }
}

/// Keys with a prefix, the prefix cut off. No setting and no result is a list: those are the samples that were loaded, and
/// whatever somebody has put there.
fn plain(log: &DetailLog, prefix: &str) -> Map<String, Value> {
    let pair = |entry: &Entry| {
        let name = entry.key.strip_prefix(prefix)?;
        let is_plain = !entry.value.is_array() && !entry.value.is_object();
        is_plain.then(|| (name.to_owned(), entry.value.clone()))
    };
    log.entries.iter().filter_map(pair).collect()
}

fn read_record(run: &mut Run, depth: Depth) {
    let record = match Record::open(&run.dir) {
        Ok(record) => record,
        Err(ossmark_record::Error::Absent { .. }) => return,
        Err(error) => {
            run.record = Completeness::Incomplete(vec![error.to_string()]);
            return;
        }
    };
    let mut missing = Vec::new();
    match record.state {
        State::Ended => {}
        State::GoingOn => missing.push("the run goes on: these are its samples so far".into()),
        State::Cut => missing.push(
            "the run was cut: its record was not closed, and up to a second of it is missing"
                .into(),
        ),
    }
    if record.lost > 0 {
        missing.push(format!(
            "{} rows were lost: the writer could not follow",
            record.lost
        ));
    }
    missing.extend(
        record
            .reason
            .as_ref()
            .map(|why| format!("the record ended before the run did: {why}")),
    );
    missing.extend(record.damage.as_ref().map(ToString::to_string));
    if depth == Depth::Page {
        read_seconds(&record, run, &mut missing);
    }
    run.rows = record.rows;
    run.record = match missing.is_empty() {
        true => Completeness::Complete,
        false => Completeness::Incomplete(missing),
    };
}

fn read_seconds(record: &Record, run: &mut Run, missing: &mut Vec<String>) {
    let mut timeline = match record.timeline() {
        Ok(Some(timeline)) => timeline,
        Ok(None) => return,
        Err(error) => return missing.push(error.to_string()),
    };
    loop {
        match timeline.next_second() {
            // The page has no plot of each device or server, and there may be thousands of them in each second.
            Ok(Some(second)) => run.seconds.push(Second {
                gpus: None,
                servers: None,
                ..second
            }),
            Ok(None) => break,
            Err(error) => {
                missing.push(format!("timeline.jsonl: {error}"));
                break;
            }
        }
    }
    missing.extend(timeline.damage().map(ToString::to_string));
    if timeline.unreadable() > 0 {
        missing.push(format!(
            "timeline.jsonl: {} lines are no seconds",
            timeline.unreadable()
        ));
    }
}

/// The files that the verdict names, as they are now. A name that leads out of the directory is not followed.
fn hashes(run: &Run) -> Vec<Hashed> {
    let stated = run
        .verdict
        .iter()
        .flat_map(|verdict| &verdict.files)
        .take(MAX_FILES);
    let mut left = MAX_HASHED;
    let hashed = stated.map(|(name, stated)| {
        let inside = Path::new(name)
            .file_name()
            .is_some_and(|last| last == name.as_str());
        let path = run.dir.join(name);
        let bytes = std::fs::metadata(&path).map_or(0, |found| found.len());
        let found = match left.checked_sub(bytes) {
            _ if !inside => Err("is no name of a file in the run's directory".into()),
            None => Err(format!(
                "it has {bytes} bytes; a run's files are hashed up to {MAX_HASHED} bytes together"
            )),
            Some(rest) => {
                left = rest;
                ossmark_dataset::file_sha256(&path).map_err(|error| error.to_string())
            }
        };
        Hashed {
            name: name.clone(),
            stated: stated.clone(),
            found,
        }
    });
    hashed.collect()
}
