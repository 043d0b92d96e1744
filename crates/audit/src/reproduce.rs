//! A run that was made again against the one that was handed in, by the fields that the rules name.

use std::path::Path;

use ossmark_predict::Seeds;
use ossmark_rules::{Scenario, rules};
use serde::Serialize;

use crate::finding::Findings;
use crate::logged::Logged;
use crate::read;
use crate::results::Place;
use crate::scores::number;

/// Results are materially different from here on. Source: MLPerf Audit Guidelines, "within 2 %".
const MATERIAL: f64 = 0.02;

/// A figure of both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// LoadGen's name, or the scorer's.
    pub name: &'static str,
    /// In the tree.
    pub submitted: Option<f64>,
    /// Here.
    pub measured: Option<f64>,
    /// Whether the two differ by no more than 2%; none where one of them is missing.
    pub within_2_percent: Option<bool>,
}

/// A condition that the run made here must meet by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Condition {
    /// What must hold.
    pub name: &'static str,
    /// Whether it does; none where nothing says so.
    pub holds: Option<bool>,
    /// What was found.
    pub found: String,
}

/// Both.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reproduced {
    /// The fields that the rules name first.
    pub fields: Vec<Compared>,
    /// What must hold here.
    pub conditions: Vec<Condition>,
    /// What is odd, and what could not be compared.
    #[serde(flatten)]
    pub findings: Findings,
}

impl Reproduced {
    /// Whether the result was reproduced: the field that the rules name is there and within 2%, and nothing else failed.
    pub fn is_good(&self) -> bool {
        let first = self.fields.first().and_then(|field| field.within_2_percent);
        first == Some(true)
            && self
                .fields
                .iter()
                .all(|field| field.within_2_percent != Some(false))
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds != Some(false))
    }
}

/// Where the runs lie that were made here; those that were not made are none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured<'a> {
    /// LoadGen's logs of the performance run.
    pub performance: Option<&'a Path>,
    /// Its accuracy run, with `accuracy.txt`.
    pub accuracy: Option<&'a Path>,
    /// `TEST07/`, with `verify_accuracy.txt`.
    pub test07: Option<&'a Path>,
    /// `TEST09/`, with `verify_output_len.txt`.
    pub test09: Option<&'a Path>,
}

/// Compares a result with the runs made here.
pub fn compare(place: &Place, measured: &Measured<'_>) -> Reproduced {
    let mut out = Reproduced::default();
    match measured.performance {
        Some(here) => performance(place, here, &mut out),
        None => out.findings.skip("performance: no run was made here"),
    }
    match measured.accuracy {
        Some(here) => {
            let file = "accuracy.txt";
            let there = place.dir.join("accuracy");
            let wanted = rules().accuracy.min_score.value;
            let score = field(
                "'exact_match':",
                "exact_match",
                &there.join(file),
                &here.join(file),
                &mut out,
            );
            let name = "accuracy over the target";
            let found = shown(score, &format!("exact_match, at least {wanted}"));
            out.conditions.push(Condition {
                name,
                holds: score.map(|score| score >= wanted),
                found,
            });
        }
        None => out.findings.skip("accuracy: no run was made here"),
    }
    for (here, test, file, label, name) in [
        (
            measured.test07,
            "TEST07",
            "verify_accuracy.txt",
            "Accuracy score:",
            "TEST07 accuracy score",
        ),
        (
            measured.test09,
            "TEST09",
            "verify_output_len.txt",
            "Mean output tokens:",
            "TEST09 mean output tokens",
        ),
    ] {
        let Some(here) = here else {
            out.findings.skip(format!("{test}: no run was made here"));
            continue;
        };
        let there = place.dir.join(test).join(file);
        field(label, name, &there, &here.join(file), &mut out);
        let text = read::text(&here.join(file));
        let holds = text.map(|text| text.contains("TEST PASS"));
        out.conditions.push(Condition {
            name: test,
            holds,
            found: format!(
                "{file} {}",
                if holds == Some(true) {
                    "says TEST PASS"
                } else {
                    "does not say TEST PASS"
                }
            ),
        });
    }
    out
}

fn performance(place: &Place, here: &Path, out: &mut Reproduced) {
    let there = Logged::of(&place.dir.join("performance/run_1"));
    let here = Logged::of(here);
    let names: &[&'static str] = match place.scenario {
        Scenario::Offline => &["result_samples_per_second", "result_tokens_per_second"],
        Scenario::Server | Scenario::Interactive => &[
            "result_scheduled_samples_per_sec",
            "result_completed_samples_per_sec",
            "result_completed_tokens_per_second",
        ],
    };
    for &name in names {
        let of = |log: &Option<Logged>| log.as_ref().and_then(|log| log.positive(name));
        out.fields.push(compared(name, of(&there), of(&here)));
    }
    let validity = here.as_ref().and_then(|log| log.word("result_validity"));
    out.conditions.push(Condition {
        name: "LoadGen says VALID",
        holds: validity.map(|validity| validity == "VALID"),
        found: shown(validity, "result_validity"),
    });
    let errors = here.as_ref().and_then(|log| log.number("num_errors"));
    out.conditions.push(Condition {
        name: "LoadGen logged no error",
        holds: errors.map(|errors| errors == 0.0),
        found: shown(errors, "num_errors"),
    });
    let seeds = |log: &Option<Logged>| {
        log.as_ref()
            .and_then(|log| log.plan().ok())
            .map(|plan| plan.seeds)
    };
    if let Some((there, here)) = seeds(&there).zip(seeds(&here)) {
        let shown = |seeds: &Seeds| {
            let Seeds {
                qsl,
                sample_index,
                schedule,
            } = seeds;
            format!("qsl {qsl}, sample_index {sample_index}, schedule {schedule}")
        };
        let holds = there == here;
        out.conditions.push(Condition {
            name: "the same seeds",
            holds: Some(holds),
            found: match holds {
                true => shown(&here),
                false => format!("{}; submitted: {}", shown(&here), shown(&there)),
            },
        });
    }
}

/// A number of two texts; returns the one that was found here.
fn field(
    label: &str,
    name: &'static str,
    there: &Path,
    here: &Path,
    out: &mut Reproduced,
) -> Option<f64> {
    let of = |file: &Path| number(&read::text(file)?, label);
    let measured = of(here);
    out.fields.push(compared(name, of(there), measured));
    measured
}

fn compared(name: &'static str, submitted: Option<f64>, measured: Option<f64>) -> Compared {
    let both = submitted.zip(measured);
    Compared {
        name,
        submitted,
        measured,
        within_2_percent: both.map(|(there, here)| (here - there).abs() <= MATERIAL * there.abs()),
    }
}

fn shown(found: Option<impl std::fmt::Display>, what: &str) -> String {
    match found {
        Some(found) => format!("found {found} ({what})"),
        None => format!("not found ({what})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What LoadGen says of the run here decides, whatever it said of the submitted one.
    #[test]
    fn a_run_that_loadgen_calls_invalid_reproduces_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp
            .path()
            .join("closed/Org/results/box/gpt-oss-120b/Server");
        let write = |dir: &Path, validity: &str, errors: u32| {
            std::fs::create_dir_all(dir).unwrap();
            let line = |key: &str, value: &str| {
                format!(
                    ":::MLLOG {{\"key\": \"{key}\", \"value\": {value}, \"time_ms\": 0.0, \"metadata\": {{\"is_error\": false, \
                     \"is_warning\": false}}}}\n"
                )
            };
            let validity = line("result_validity", &format!("\"{validity}\""));
            let text = validity + &line("num_errors", &errors.to_string());
            std::fs::write(dir.join(ossmark_logs::DETAIL), text).unwrap();
        };
        write(&dir.join("performance/run_1"), "VALID", 0);
        let place = crate::results(tmp.path()).unwrap().remove(0);
        for (validity, errors, expected) in [
            ("VALID", 0, [Some(true), Some(true)]),
            ("INVALID", 0, [Some(false), Some(true)]),
            ("VALID", 2, [Some(true), Some(false)]),
        ] {
            let here = tmp.path().join("here");
            write(&here, validity, errors);
            let mut out = Reproduced::default();
            performance(&place, &here, &mut out);
            let holds = |name: &str| {
                let mut all = out.conditions.iter();
                all.find(|one| one.name == name).unwrap().holds
            };
            let found = ["LoadGen says VALID", "LoadGen logged no error"].map(holds);
            assert_eq!(found, expected, "{validity} {errors}");
        }
    }

    #[test]
    fn two_percent_are_the_limit() {
        for (there, here, within) in [
            (Some(100.0), Some(100.0), Some(true)),
            (Some(100.0), Some(98.0), Some(true)),
            (Some(100.0), Some(97.9), Some(false)),
            (Some(100.0), Some(102.1), Some(false)),
            (None, Some(1.0), None),
            (Some(1.0), None, None),
        ] {
            assert_eq!(
                compared("x", there, here).within_2_percent,
                within,
                "{there:?} {here:?}"
            );
        }
    }

    #[test]
    fn nothing_made_here_reproduces_nothing() {
        assert!(!Reproduced::default().is_good());
        let good = Reproduced {
            fields: vec![compared("x", Some(1.0), Some(1.0))],
            ..Reproduced::default()
        };
        assert!(good.is_good());
        let failed = Condition {
            name: "TEST07",
            holds: Some(false),
            found: String::new(),
        };
        let failed = Reproduced {
            conditions: vec![failed],
            ..good
        };
        assert!(!failed.is_good());
    }
}
