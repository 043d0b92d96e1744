//! Which runs may be handed in. A run that is invalid, carries a fault or was cut off is refused, and so is one whose settings
//! are not official unless it is a rehearsal; a log that is not the one that the verdict was made from; and a compliance test
//! that the ledger of its attempts does not know as passed. All of it is read from what `ossmark run` and `ossmark audit` left.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::text::text_of;
use crate::audit::{LEDGER, RECORDS};
use ossmark_logs::{ACCURACY, DETAIL, SUMMARY};

use crate::check::{PERFORMANCE_RUN, hash_in};
use crate::error::Error;
use crate::python;
use crate::tree::{TEXT_LIMIT, Text, read_text};
use crate::truncate::sha256_of;

/// A run as a description names it.
#[derive(Clone, Copy)]
pub(super) struct RunDir<'a> {
    pub(super) dir: &'a Path,
    pub(super) scenario: &'a str,
    /// `performance`, `accuracy`; a compliance test is a performance run.
    pub(super) mode: &'a str,
    pub(super) rehearsal: bool,
}

/// What a run left, if it may be handed in.
pub(super) struct UsableRun {
    pub(super) plan: Value,
    pub(super) verdict: Value,
    pub(super) problems: Vec<String>,
}

impl RunDir<'_> {
    /// Judges a run whose logs lie under the given names below its directory.
    pub(super) fn judge(self, logs: &[(&str, PathBuf)]) -> Result<UsableRun, Error> {
        let [plan, verdict] = RECORDS.map(|name| self.json(name));
        let (plan, verdict) = (plan?, verdict?);
        let mut problems = Vec::new();
        let mut refuse = |why: String| problems.push(format!("{}: {why}", self.dir.display()));
        for (key, wanted) in [("scenario", self.scenario), ("mode", self.mode)] {
            for (record, file) in [(&verdict, "verdict.json"), (&plan, "run_plan.json")] {
                let found = record.get(key).and_then(Value::as_str).unwrap_or_default();
                if !found.eq_ignore_ascii_case(wanted) {
                    refuse(format!(
                        "found a run of {key} {found:?} in {file}, expected {wanted:?}"
                    ));
                }
            }
        }
        if verdict.get("verdict").and_then(Value::as_str) != Some("valid") {
            refuse(format!(
                "the run is not valid: {}",
                list(&verdict["reasons"])
            ));
        }
        if verdict
            .get("faults")
            .and_then(Value::as_array)
            .is_none_or(|faults| !faults.is_empty())
        {
            refuse(format!(
                "the run carries faults: {}",
                list(&verdict["faults"])
            ));
        }
        if verdict.get("interrupted").and_then(Value::as_bool) != Some(false) {
            refuse("the run was interrupted".into());
        }
        if !self.rehearsal {
            if verdict.get("settings").and_then(Value::as_str) != Some("official") {
                refuse(format!(
                    "the settings are not official: {}; --rehearsal builds a tree that is not to be submitted",
                    list(&verdict["deviations"])
                ));
            }
            // The verdict says so as well, in words.
            for made_up in made_up(&plan) {
                refuse(format!(
                    "{made_up}; --rehearsal builds a tree that is not to be submitted"
                ));
            }
        }
        let plan_file = [("run_plan.json", PathBuf::from("run_plan.json"))];
        for (name, file) in logs.iter().chain(&plan_file) {
            let file = self.dir.join(file);
            let Some(recorded) = verdict["files"][*name].as_str() else {
                refuse(format!(
                    "found no hash of {name} in verdict.json (files), so nothing shows that the two belong together; run again with this \
                     version of ossmark"
                ));
                continue;
            };
            match sha256_of(&file) {
                Ok(found) if found == recorded => {}
                Ok(found) => refuse(format!(
                    "{}: found SHA-256 {found}, expected {recorded}, which the run left ({name} in verdict.json); hand in the files of one run, \
                     unchanged",
                    file.display()
                )),
                Err(error) => refuse(error.to_string()),
            }
        }
        // The record and power.json stay behind, and may be gone; what lies there is the run's.
        for (name, recorded) in others(&verdict, logs) {
            let file = self.dir.join(name);
            if std::fs::symlink_metadata(&file).is_err() {
                continue;
            }
            match sha256_of(&file) {
                Ok(found) if Some(found.as_str()) == recorded.as_str() => {}
                Ok(found) => refuse(format!(
                    "{}: found SHA-256 {found}, expected {}, which the run left ({name} in verdict.json); put back what the run wrote, \
                     or remove the file",
                    file.display(),
                    python::shown(recorded)
                )),
                Err(error) => refuse(error.to_string()),
            }
        }
        Ok(UsableRun {
            plan,
            verdict,
            problems,
        })
    }

    fn json(self, name: &str) -> Result<Value, Error> {
        let path = self.dir.join(name);
        let text = text_of(
            &path,
            "what `ossmark run` leaves in the directory of a whole run; the description names that directory",
        )?;
        serde_json::from_str(&text).map_err(|e| Error::Unusable {
            path,
            why: format!("{e}; expected what `ossmark run` wrote"),
        })
    }
}

/// Files in the run's directory that the verdict has a hash of, besides its logs and its plan.
fn others<'a>(
    verdict: &'a Value,
    logs: &'a [(&str, PathBuf)],
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let files = verdict["files"].as_object().into_iter().flatten();
    files.filter_map(|(name, recorded)| {
        let known = name == "run_plan.json" || logs.iter().any(|(log, _)| log == name);
        let inside = Path::new(name).file_name() == Some(name.as_ref());
        (!known && inside).then_some((name.as_str(), recorded))
    })
}

/// What of a run no model and no data set had a part in.
fn made_up(plan: &Value) -> Vec<&'static str> {
    let mut found = Vec::new();
    if plan["engine"].as_str() == Some("echo") {
        found.push("the answers are scripted (--engine echo)");
    }
    let model = plan["model"]["description"].as_str().unwrap_or_default();
    if model.to_lowercase().contains("synthetic") {
        found.push("the weights are synthetic");
    }
    if plan["dataset"].is_null() {
        found.push("the prompts are made up (no --dataset)");
    }
    found
}

/// All runs of a result are made with one program on one engine: the rules ask for one accuracy run per performance result,
/// "same code". Gives what differs.
pub(super) fn differences(performance: &Value, other: &Value) -> Vec<String> {
    const SAME: [&str; 8] = [
        "/engine",
        "/dtype",
        "/model/description",
        "/model/engines",
        "/ossmark/git_revision",
        "/speculation",
        "/loadgen/source",
        "/round",
    ];
    let differs = |pointer: &&&str| performance.pointer(pointer) != other.pointer(pointer);
    let shown = |plan: &Value, pointer: &str| {
        plan.pointer(pointer)
            .map_or_else(|| "nothing".into(), python::shown)
    };
    SAME.iter()
        .filter(differs)
        .map(|pointer| {
            let name = &pointer[1..];
            format!(
                "found {name} {}, the performance run has {}",
                shown(other, pointer),
                shown(performance, pointer)
            )
        })
        .collect()
}

/// Whether a score was made from this log: the hash in accuracy.txt, where there is one.
pub(super) fn score_of_another_log(accuracy_txt: &Path, log: &Path) -> Option<String> {
    let Text::Read(text) = read_text(accuracy_txt, TEXT_LIMIT) else {
        return None;
    };
    let hashes: Vec<&str> = python::lines(&text).filter_map(hash_in).collect();
    let hash = hashes.first()?;
    let found = sha256_of(log).ok()?;
    (!hashes.contains(&found.as_str())).then(|| {
        format!(
            "{}: found hash={hash}, the accuracy log has {found}; score this log (`ossmark score --accuracy-txt FILE --log-hash`)",
            accuracy_txt.display()
        )
    })
}

/// The logs of a compliance test where `ossmark audit` puts them.
pub(super) fn logs_of_test() -> [(&'static str, PathBuf); 3] {
    [
        (ACCURACY, Path::new("accuracy").join(ACCURACY)),
        (DETAIL, Path::new(PERFORMANCE_RUN).join(DETAIL)),
        (SUMMARY, Path::new(PERFORMANCE_RUN).join(SUMMARY)),
    ]
}

/// What the ledger says about a test's directory: a sentence for the README that names every attempt, or what stands
/// against the test.
pub(super) fn attempts(dir: &Path, test: &str, result_file: &str) -> Result<String, String> {
    let ledger = dir.parent().unwrap_or(Path::new(".")).join(LEDGER);
    let expected = format!("the ledger that `ossmark audit` keeps beside {test}/");
    let text = text_of(&ledger, &expected).map_err(|error| error.to_string())?;
    let lines: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let of_test: Vec<&Value> = lines
        .iter()
        .map(|line| &line["result"])
        .filter(|result| result["test"] == test)
        .collect();
    let log = sha256_of(&dir.join("accuracy").join(ACCURACY)).map_err(|error| error.to_string())?;
    let written = sha256_of(&dir.join(result_file)).map_err(|error| error.to_string())?;
    let is_this = |result: &&&Value| {
        result["log_sha256"] == log.as_str() && result["text_sha256"] == written.as_str()
    };
    match of_test.iter().find(is_this) {
        None => Err(format!(
            "{}: found no attempt with this log and this {result_file} in {}; verify it with `ossmark audit`",
            dir.display(),
            ledger.display()
        )),
        Some(result) if result["passed"] != true => {
            Err(format!("{}: the test did not pass", dir.display()))
        }
        Some(_) => {
            let values: Vec<String> = of_test
                .iter()
                .map(|result| {
                    result["value"]
                        .as_f64()
                        .map_or_else(|| "no result".into(), |value| format!("{value:.2}"))
                })
                .collect();
            Ok(format!(
                "{test}: attempts: {}, in order {}",
                of_test.len(),
                values.join(", ")
            ))
        }
    }
}

fn list(values: &Value) -> String {
    let empty = Vec::new();
    let values = values.as_array().unwrap_or(&empty);
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    if values.is_empty() {
        "no reason given".into()
    } else {
        values.iter().map(text).collect::<Vec<_>>().join("; ")
    }
}
