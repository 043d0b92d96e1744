//! A run as it was read from its directory. Everything in it is from outside: texts may hold anything, numbers may lie.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ossmark_record::{Row, Second};
use serde_json::{Map, Value};

use crate::said::Verdict;

/// A run as it was read. Whatever is not there is empty; whatever could not be read is in `problems`.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The directory, as it was named.
    pub dir: PathBuf,
    /// `verdict.json`.
    pub verdict: Option<Verdict>,
    /// `run_plan.json`; null where there is none.
    pub plan: Value,
    /// LoadGen's detail log.
    pub log: Option<Log>,
    /// The samples in order of issue.
    pub rows: Vec<Row>,
    /// The seconds in order.
    pub seconds: Vec<Second>,
    /// Whether there is a record, and whether all of it is.
    pub record: Completeness,
    /// Energy of the test, in joules.
    pub energy_j: Option<f64>,
    /// `power.json`, which that is from; null where there is none.
    pub power: Value,
    /// `score.json`, which `ossmark score --json` writes; null where there is none.
    pub score: Value,
    /// Each file that `verdict.json` has a hash of.
    pub files: Vec<Hashed>,
    /// What could not be read, a sentence each.
    pub problems: Vec<String>,
}

/// Whether a record is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Completeness {
    /// There is none.
    #[default]
    Absent,
    /// A row of every sample.
    Complete,
    /// Something is missing, a sentence each.
    Incomplete(Vec<String>),
}

/// A file beside its hash in `verdict.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// Its name in the directory.
    pub name: String,
    /// SHA-256 in `verdict.json`.
    pub stated: String,
    /// SHA-256 of what lies there now, or why there is none.
    pub found: Result<String, String>,
}

impl Hashed {
    /// Whether it is the file that the verdict was given on.
    pub fn is_same(&self) -> bool {
        self.found.as_ref() == Ok(&self.stated)
    }
}

/// What the detail log says.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Settings as they were asked for, without LoadGen's prefix.
    pub requested: Map<String, Value>,
    /// Settings as they were used.
    pub effective: Map<String, Value>,
    /// Its results, without the prefix.
    pub results: Map<String, Value>,
    /// When the test began, as LoadGen writes it.
    pub date: Option<String>,
    /// Name of the system under test.
    pub sut: Option<String>,
    /// Messages of the first errors.
    pub errors: Vec<String>,
    /// Errors in all.
    pub error_count: u64,
    /// Whether it goes on to its end.
    pub complete: bool,
}

impl Run {
    /// The scenario's name in lower case: what the plan says, else LoadGen's.
    pub fn scenario(&self) -> Option<String> {
        self.word("scenario", "scenario")
    }

    /// The mode's name: `performance`, `accuracy`, `find-peak`, else LoadGen's word.
    pub fn mode(&self) -> Option<String> {
        let mode = self.word("mode", "test_mode")?;
        Some(match mode.as_str() {
            "performanceonly" => "performance".into(),
            "accuracyonly" => "accuracy".into(),
            "findpeakperformance" => "find-peak".into(),
            _ => mode,
        })
    }

    fn word(&self, planned: &str, effective: &str) -> Option<String> {
        let verdict = match planned {
            "scenario" => self.verdict.as_ref().and_then(|v| v.scenario.clone()),
            _ => self.verdict.as_ref().and_then(|v| v.mode.clone()),
        };
        let plan = || self.plan.get(planned)?.as_str().map(str::to_owned);
        let log = || {
            self.log
                .as_ref()?
                .effective
                .get(effective)?
                .as_str()
                .map(str::to_owned)
        };
        let word = verdict.or_else(plan).or_else(log)?;
        Some(word.to_lowercase())
    }

    /// Whether all samples are issued together.
    pub fn is_offline(&self) -> bool {
        self.scenario().as_deref() == Some("offline")
    }

    /// What of it is not there, or could not be read, a sentence each. Its files are not compared with their hashes here.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut missing = self.problems.clone();
        if let Completeness::Incomplete(parts) = &self.record {
            let of = |part: &String| format!("the record is not complete: {part}");
            missing.extend(parts.iter().map(of));
        }
        if self.log.as_ref().is_some_and(|log| !log.complete) {
            missing.push("LoadGen's detail log ends before the test does: the run was cut".into());
        }
        missing
    }

    /// A number among LoadGen's results, by one of its keys without `result_`.
    pub fn result(&self, keys: &[&str]) -> Option<f64> {
        let results = &self.log.as_ref()?.results;
        keys.iter().find_map(|key| number(results.get(*key)?))
    }

    /// LoadGen's tokens/s, the figure that is submitted: of its log, else of the verdict.
    pub fn tokens_per_s(&self) -> Option<f64> {
        let said = || number(self.verdict.as_ref()?.metrics.get("tokens_per_second")?);
        // Offline, then Server.
        self.result(&["tokens_per_second", "completed_tokens_per_second"])
            .or_else(said)
    }

    /// A setting: as LoadGen used it, else as it was asked for in its log or in the plan.
    pub fn setting(&self, name: &str) -> Option<&Value> {
        let log = self.log.as_ref();
        log.and_then(|log| log.effective.get(name).or_else(|| log.requested.get(name)))
    }

    /// All settings that were asked for: LoadGen's, and those of the plan that decide what is run, by path.
    pub fn settings(&self) -> BTreeMap<String, Value> {
        let mut settings = BTreeMap::new();
        flatten("", &self.plan, &mut settings, 0);
        settings.retain(|name, _| !NO_SETTINGS.iter().any(|not| name.starts_with(not)));
        if let Some(log) = &self.log {
            let named =
                |(name, value): (&String, &Value)| (format!("loadgen.{name}"), value.clone());
            settings.extend(log.effective.iter().map(named));
        }
        settings
    }
}

/// Parts of the plan that are no settings: how it was typed, and the texts of files whose values LoadGen logs.
const NO_SETTINGS: [&str; 3] = ["command", "user_conf.content", "audit_config.content"];

/// Deeper values are shown as JSON.
const DEPTH: usize = 4;

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, Value>, depth: usize) {
    match value {
        Value::Object(fields) if depth < DEPTH => {
            for (name, value) in fields {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                flatten(&path, value, into, depth + 1);
            }
        }
        value if path.is_empty() => debug_assert!(value.is_null() || depth == 0),
        value => drop(into.insert(path.into(), value.clone())),
    }
}

/// A finite number, also where LoadGen wrote it as text.
pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.parse().ok()?,
        value => value.as_f64()?,
    };
    number.is_finite().then_some(number)
}
