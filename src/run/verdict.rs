//! The verdict: LoadGen's result, LoadGen's errors, the harness's faults and the deviations from the round's rules, made
//! into one answer. Pure: everything that it judges is handed in.
//!
//! LoadGen's "Result is : VALID" alone is never the verdict: it is printed with errors in the log, and with token counts
//! that make no sense (docs/loadgen.md).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::faults::Fault;
use crate::terminal::text::counted;

/// May the run be believed?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Validity {
    Valid,
    Invalid,
}

/// Was it run as the round asks?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SettingsLabel {
    Official,
    Test,
}

/// What LoadGen itself said.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LoadgenOutcome {
    /// `None` in accuracy mode, which prints no result.
    pub(crate) result: Option<String>,
    pub(crate) errors: u64,
    pub(crate) warnings: u64,
}

/// The content of verdict.json.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) verdict: Validity,
    pub(crate) settings: SettingsLabel,
    /// How the run differs from what the round asks for.
    pub(crate) deviations: Vec<String>,
    /// Why the run is not valid.
    pub(crate) reasons: Vec<String>,
    pub(crate) loadgen: LoadgenOutcome,
    pub(crate) faults: Vec<Fault>,
    pub(crate) scenario: String,
    pub(crate) mode: String,
    pub(crate) metrics: Map<String, Value>,
    /// The run was ended before LoadGen could close its logs: they are evidence, not a result.
    pub(crate) interrupted: bool,
    /// SHA-256 of the logs and of run_plan.json, so that they cannot be taken for those of another run.
    pub(crate) files: BTreeMap<&'static str, String>,
}

/// What was read back from the logs of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogFacts {
    /// All entries of the detail log, the last of each key.
    pub(crate) entries: BTreeMap<String, Value>,
    /// Messages of the first errors.
    pub(crate) errors: Vec<String>,
    pub(crate) error_count: u64,
    pub(crate) warnings: u64,
    /// The detail log goes on to its end.
    pub(crate) complete: bool,
    /// The test by the system's clock, as LoadGen says it.
    pub(crate) window: Option<ossmark_telemetry::Window>,
    /// Problems met while reading the logs.
    pub(crate) unreadable: Vec<String>,
    /// In accuracy mode: the samples in the accuracy log, in its order.
    pub(crate) logged_samples: Option<Vec<u64>>,
}

/// What the verdict is made from.
pub(crate) struct Evidence {
    pub(crate) scenario: String,
    pub(crate) mode: String,
    /// LoadGen prints no result and the accuracy log must hold every sample.
    pub(crate) is_accuracy: bool,
    pub(crate) logs: LogFacts,
    pub(crate) faults: Vec<Fault>,
    pub(crate) deviations: Vec<String>,
    pub(crate) metrics: Map<String, Value>,
    pub(crate) interrupted: bool,
    pub(crate) files: BTreeMap<&'static str, String>,
}

/// Makes the verdict.
pub(crate) fn judge(evidence: Evidence) -> Verdict {
    let Evidence {
        scenario,
        mode,
        is_accuracy,
        logs,
        faults,
        deviations,
        metrics,
        interrupted,
        files,
    } = evidence;
    // Logs that a run never finished say nothing about why: the faults come first.
    let mut reasons: Vec<String> = faults.iter().map(describe_fault).collect();
    if interrupted {
        reasons.push("the run was ended early; LoadGen's logs are cut off".into());
    }
    reasons.extend(logs.unreadable.iter().cloned());
    if !logs.complete && !interrupted {
        reasons
            .push("the detail log ends before the test does: it was not written to the end".into());
    }
    if let Some(first) = logs.errors.first() {
        reasons.push(format!(
            "LoadGen logged {}, the first: {first}",
            counted(logs.error_count, "error")
        ));
    }
    let result = logs
        .entries
        .get("result_validity")
        .and_then(Value::as_str)
        .map(str::to_owned);
    if is_accuracy {
        reasons.extend(check_accuracy_log(&logs));
    } else if !interrupted {
        match result.as_deref() {
            Some("VALID") => {}
            Some(other) => reasons.push(format!(
                "LoadGen's result is {other}{}",
                unmet(&logs.entries)
            )),
            None => reasons.push("LoadGen printed no result".into()),
        }
    }
    let said = logs
        .entries
        .get("num_errors")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    Verdict {
        verdict: if reasons.is_empty() {
            Validity::Valid
        } else {
            Validity::Invalid
        },
        settings: if deviations.is_empty() {
            SettingsLabel::Official
        } else {
            SettingsLabel::Test
        },
        deviations,
        reasons,
        loadgen: LoadgenOutcome {
            result,
            errors: said.max(logs.error_count),
            warnings: logs.warnings,
        },
        faults,
        scenario,
        mode,
        metrics,
        interrupted,
        files,
    }
}

fn describe_fault(fault: &Fault) -> String {
    let samples = match fault.samples.as_slice() {
        [] => String::new(),
        [one] => format!(" (sample {one})"),
        some => {
            let list: Vec<String> = some.iter().map(u64::to_string).collect();
            let more = if fault.count > some.len() as u64 {
                ", ..."
            } else {
                ""
            };
            format!(" (samples {}{more})", list.join(", "))
        }
    };
    let times = if fault.count > 1 {
        format!("{} times: ", fault.count)
    } else {
        String::new()
    };
    format!("{times}{}{samples}", fault.message)
}

/// Which of LoadGen's own conditions were not met.
fn unmet(entries: &BTreeMap<String, Value>) -> String {
    let names = [
        ("result_perf_constraints_met", "performance constraints"),
        ("result_min_duration_met", "minimum duration"),
        ("result_min_queries_met", "minimum queries"),
        (
            "early_stopping_met",
            "early stopping (p99 of TTFT and TPOT)",
        ),
    ];
    let unmet: Vec<&str> = names
        .iter()
        .filter(|(key, _)| entries.get(*key).and_then(Value::as_bool) == Some(false))
        .map(|(_, name)| *name)
        .collect();
    if unmet.is_empty() {
        String::new()
    } else {
        format!(": not met: {}", unmet.join(", "))
    }
}

/// In accuracy mode every sample must be in the log exactly once.
fn check_accuracy_log(logs: &LogFacts) -> Vec<String> {
    let Some(logged) = &logs.logged_samples else {
        return Vec::new();
    };
    let Some(expected) = logs
        .entries
        .get("effective_accuracy_sample_count")
        .and_then(Value::as_u64)
    else {
        return vec!["the detail log does not say how many accuracy samples there are".into()];
    };
    let mut seen = vec![0u32; expected as usize];
    let mut strangers = 0u64;
    for &sample in logged {
        match seen.get_mut(sample as usize) {
            Some(n) => *n += 1,
            None => strangers += 1,
        }
    }
    let missing = seen.iter().filter(|n| **n == 0).count();
    let twice = seen.iter().filter(|n| **n > 1).count();
    if missing + twice == 0 && strangers == 0 {
        return Vec::new();
    }
    vec![format!(
        "the accuracy log should hold each of the {expected} samples once; it lacks {missing}, repeats {twice}, and has \
         {strangers} that do not belong"
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::faults::FaultKind;
    use serde_json::json;

    fn clean(is_accuracy: bool) -> Evidence {
        let mut entries = BTreeMap::new();
        if !is_accuracy {
            entries.insert("result_validity".into(), json!("VALID"));
        }
        entries.insert("effective_accuracy_sample_count".into(), json!(3));
        Evidence {
            scenario: "server".into(),
            mode: "performance".into(),
            is_accuracy,
            logs: LogFacts {
                entries,
                complete: true,
                logged_samples: is_accuracy.then(|| vec![2, 0, 1]),
                ..LogFacts::default()
            },
            faults: Vec::new(),
            deviations: Vec::new(),
            metrics: Map::new(),
            interrupted: false,
            files: BTreeMap::new(),
        }
    }

    #[test]
    fn clean_runs_are_valid() {
        for accuracy in [false, true] {
            let verdict = judge(clean(accuracy));
            assert_eq!(verdict.verdict, Validity::Valid, "{:?}", verdict.reasons);
            assert_eq!(verdict.settings, SettingsLabel::Official);
        }
    }

    #[test]
    fn loadgens_valid_is_not_enough() {
        type Spoil = fn(&mut Evidence);
        let spoil: [(&str, Spoil); 6] = [
            ("1 error", |e| {
                e.logs
                    .errors
                    .push("Attempted to complete a sample twice.".into());
                e.logs.error_count = 1;
            }),
            ("dropped", |e| {
                e.faults.push(Fault {
                    kind: FaultKind::DroppedTicket,
                    message: "a ticket was dropped".into(),
                    count: 1,
                    samples: vec![7],
                });
            }),
            ("not written to the end", |e| e.logs.complete = false),
            ("INVALID: not met: minimum duration", |e| {
                e.logs
                    .entries
                    .insert("result_validity".into(), json!("INVALID"));
                e.logs
                    .entries
                    .insert("result_min_duration_met".into(), json!(false));
            }),
            ("no result", |e| {
                e.logs.entries.remove("result_validity");
            }),
            ("ended early", |e| e.interrupted = true),
        ];
        for (expected, spoil) in spoil {
            let mut evidence = clean(false);
            spoil(&mut evidence);
            let verdict = judge(evidence);
            assert_eq!(verdict.verdict, Validity::Invalid);
            assert!(
                verdict.reasons.iter().any(|r| r.contains(expected)),
                "{expected}: {:?}",
                verdict.reasons
            );
        }
    }

    #[test]
    fn an_accuracy_log_holds_every_sample_once() {
        for logged in [vec![0, 1], vec![0, 1, 1, 2], vec![0, 1, 2, 3]] {
            let mut evidence = clean(true);
            evidence.logs.logged_samples = Some(logged);
            assert_eq!(judge(evidence).verdict, Validity::Invalid);
        }
    }
}
