//! The verification of TEST07 (are the answers of a performance run as accurate as claimed?) and TEST09 (are they as long?)
//! from the logs of such a run, and the directory that is submitted.
//!
//! Verdict and text are those of MLCommons' run_verification.py; by default every sample must also be there exactly once,
//! which those scripts do not ask for. Does not own the scoring: TEST07 is given the scorer's output as text.

mod answers;
mod test07;
mod test09;

use std::path::{Path, PathBuf};

use ossmark_files::{copy_whole, make_directories, write_whole};
use ossmark_rules::{ComplianceTest, rules};
use serde::Serialize;

pub use test07::{Test07, test07};
pub use test09::{Test09, test09};

use ossmark_logs::{ACCURACY, DETAIL, SUMMARY};

use crate::check::PERFORMANCE_RUN;
use crate::error::Error;
use crate::python;
use crate::tree::{TEXT_LIMIT, Text, read_text};
use crate::truncate::cut;

/// Beside TEST07/ and TEST09/: every attempt, one JSON object a line, so that a test that was run until it passed shows.
pub const LEDGER: &str = "audit_ledger.jsonl";
/// Beside the logs of a run of ossmark: what was to be done, and what came of it. Taken along for `submission build`, which
/// reads them and does not hand them in.
pub(crate) const RECORDS: [&str; 2] = ["run_plan.json", "verdict.json"];

/// What both tests are verified from.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The run's directory.
    pub logs: &'a Path,
    /// TEST07/ or TEST09/ itself; made.
    pub output: &'a Path,
    /// Where the bounds are read, unless given otherwise.
    pub audit_config: Option<&'a Path>,
    /// Verdict and text of the official script: samples are not counted, and bounds must be given.
    pub official_only: bool,
}

/// How a verification ended.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// `TEST07` or `TEST09`.
    pub test: &'static str,
    /// TEST PASS.
    pub passed: bool,
    /// Score in percent, or mean of output tokens; none where there is none.
    pub value: Option<f64>,
    /// What the value had to be.
    pub bounds: Vec<f64>,
    /// Entries of the log.
    pub samples: u64,
    /// Why it failed beside the value: samples that are missing or answered twice.
    pub problems: Vec<String>,
    /// Of the log of the answers.
    pub log_sha256: String,
    /// Of the text.
    pub text_sha256: String,
    /// What was written to verify_accuracy.txt or verify_output_len.txt.
    #[serde(skip)]
    pub text: String,
}

/// Numbers of an audit.config by the last part of their key.
fn bounds(
    options: Options<'_>,
    wanted: &[&str],
    comments: bool,
) -> Result<Vec<Option<f64>>, Error> {
    let mut found = vec![None; wanted.len()];
    let Some(path) = options.audit_config else {
        return Ok(found);
    };
    let text = match read_text(path, TEXT_LIMIT) {
        Text::Read(text) => text,
        // The official scripts go on without a file that is not there.
        Text::Missing if options.official_only => return Ok(found),
        Text::Missing => {
            return Err(Error::Unusable {
                path: path.into(),
                why: "not found, expected an audit.config".into(),
            });
        }
        Text::Unreadable(why) => {
            return Err(Error::Unusable {
                path: path.into(),
                why,
            });
        }
        Text::TooLarge(size) => {
            return Err(Error::Unusable {
                path: path.into(),
                why: format!("found {size} bytes"),
            });
        }
    };
    for line in python::lines(&text)
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
    {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let value = if comments {
            value.split('#').next().unwrap_or_default()
        } else {
            value
        };
        let parts: Vec<&str> = key.trim().split('.').collect();
        let place = wanted
            .iter()
            .position(|name| parts.len() >= 3 && parts.last() == Some(name));
        if let (Some(place), Some(number)) = (place, python::float_of(value)) {
            found[place] = Some(number);
        }
    }
    Ok(found)
}

/// The mean number of tokens of the answers in a log.
///
/// # Errors
/// It cannot be read, or holds no answers.
pub(crate) fn mean_tokens(log: &Path) -> Result<f64, Error> {
    let tokens = answers::read(log)?.tokens;
    if tokens.is_empty() {
        return Err(Error::Unusable {
            path: log.into(),
            why: "found no answers".into(),
        });
    }
    Ok(tokens.iter().sum::<u64>() as f64 / tokens.len() as f64)
}

/// Where a file of a compliance run lies: in the run's own directory, or where the directory TEST07 or TEST09 of a
/// submission has it.
pub fn file_of_run(logs: &Path, name: &str) -> PathBuf {
    let in_tree = match name {
        ACCURACY => logs.join("accuracy").join(name),
        _ => logs.join(PERFORMANCE_RUN).join(name),
    };
    let own = logs.join(name);
    match !own.exists() && in_tree.is_file() {
        true => in_tree,
        false => own,
    }
}

/// Refuses what the official scripts refuse, before anything is written.
fn log_file(options: Options<'_>) -> Result<PathBuf, Error> {
    let missing = |path: &Path, expected: &str| Error::Unusable {
        path: path.into(),
        why: format!("not found, expected {expected}"),
    };
    if !options.logs.is_dir() {
        return Err(missing(
            options.logs,
            "the directory of a compliance run, or TEST07 or TEST09 of a submission (--logs)",
        ));
    }
    let log = file_of_run(options.logs, ACCURACY);
    // The official scripts read what lines of it they can.
    if let Some(cut) = cut(&log).filter(|_| !options.official_only) {
        return Err(Error::Unusable {
            path: log,
            why: cut.to_string(),
        });
    }
    match ossmark_files::open(&log) {
        Ok(_) => Ok(log),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(missing(&log, "the log of the run's answers"))
        }
        Err(error) => Err(Error::io("read", log)(error)),
    }
}

/// Which samples the log holds, each once?
fn counts(
    test: &ComplianceTest,
    mut indices: Vec<Option<u64>>,
    options: Options<'_>,
) -> Vec<String> {
    if options.official_only {
        return Vec::new();
    }
    let wanted = test.sample_count.value;
    let found = indices.len();
    indices.sort_unstable();
    indices.dedup();
    let known = indices
        .iter()
        .flatten()
        .filter(|index| **index < wanted)
        .count();
    if found as u64 == wanted && known == found {
        return Vec::new();
    }
    vec![format!(
        "Sample count check: found {found} answers of {} different samples ({known} of them of this test), expected each of {wanted} once",
        indices.len()
    )]
}

/// The directory that is submitted.
fn write(options: Options<'_>, file: &str, text: &str) -> Result<(), Error> {
    let dir = options.output;
    let (accuracy, performance) = (dir.join("accuracy"), dir.join(PERFORMANCE_RUN));
    for dir in [&accuracy, &performance] {
        make_directories(dir).map_err(Error::io("create", dir))?;
    }
    let target = dir.join(file);
    write_whole(&target, text.as_bytes()).map_err(Error::io("write", &target))?;
    for (name, dir) in [
        (ACCURACY, &accuracy),
        (SUMMARY, &performance),
        (DETAIL, &performance),
        (RECORDS[0], &dir.to_owned()),
        (RECORDS[1], &dir.to_owned()),
    ] {
        let (from, to) = (file_of_run(options.logs, name), dir.join(name));
        if from.is_file() {
            copy_whole(&from, &to).map_err(Error::io("write", &to))?;
        }
    }
    Ok(())
}

/// 80 equal signs, the official scripts' ruler.
fn ruler() -> String {
    "=".repeat(80)
}

/// `True` or `False`.
fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

fn rules_of(test: &str) -> &'static ComplianceTest {
    let compliance = &rules().compliance;
    if test == "TEST07" {
        &compliance.test07
    } else {
        &compliance.test09
    }
}
