//! From notes to `power.json`, and back from whatever stands there.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use ossmark_protocol::DeviceFigures;

use crate::board::Notes;
use crate::clock::Clock;
use crate::power::{Method, Power, SourceKind};
use crate::reading::Reading;
use crate::{Measured, Window};

/// Readings of devices, by moment, power and counter.
type Said<'a> = &'a [(f64, &'a str, Option<f64>, Option<f64>)];

fn notes(said: Said) -> Notes {
    let mut notes = Notes {
        every: 1,
        ..Notes::default()
    };
    for (moment, id, power_w, energy_j) in said {
        let figures = DeviceFigures {
            power_w: *power_w,
            energy_j: *energy_j,
            ..DeviceFigures::default()
        };
        let reading = Reading {
            id: (*id).into(),
            name: "x".into(),
            figures,
        };
        notes.add(*moment, vec![reading], 1e4);
    }
    notes
}

/// A window of `seconds` from the first moment on.
fn power(sources: Vec<(SourceKind, Notes)>, seconds: f64) -> Power {
    let anchors = Clock::start().anchors();
    // The date of moment 0.
    let begin_unix_s = -anchors.moment(0.0);
    let window = Window {
        begin_unix_s,
        end_unix_s: begin_unix_s + seconds,
    };
    let named = sources
        .into_iter()
        .map(|(kind, notes)| (kind, kind.to_string(), notes));
    let measured = Measured {
        sources: named.collect(),
        anchors,
        interval: Duration::from_secs(1),
        ended: 1000.0,
        whole: window,
    };
    measured.power(window, Some(5000))
}

/// Every 5 s up to 100 s.
fn steady(
    id: &str,
    power_w: Option<f64>,
    counter_w: Option<f64>,
) -> Vec<(f64, &str, Option<f64>, Option<f64>)> {
    let moments = (0..=20).map(|i| f64::from(i) * 5.0);
    moments
        .map(|t| (t, id, power_w, counter_w.map(|w| 70.0 + w * t)))
        .collect()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-4 * b.abs()
}

#[test]
fn the_first_source_that_covers_the_window_is_the_runs() {
    let nvml = notes(
        &[
            steady("a", Some(290.0), Some(300.0)),
            steady("b", Some(90.0), None),
        ]
        .concat(),
    );
    let command = notes(&[(0.0, "", Some(900.0), None), (40.0, "", Some(900.0), None)]);
    let rapl = notes(&steady("package-0", None, Some(50.0)));
    let power = power(
        vec![
            (SourceKind::Command, command),
            (SourceKind::Nvml, nvml),
            (SourceKind::Rapl, rapl),
        ],
        100.0,
    );
    assert_eq!(power.source.as_deref(), Some("nvml"));
    assert!(near(power.energy_j.unwrap(), 39_000.0), "{power:?}");
    assert!(near(power.tokens_per_joule.unwrap(), 5000.0 / 39_000.0));
    let [a, b] = &power.sources[0].devices[..] else {
        panic!("{power:?}")
    };
    assert_eq!((a.method, b.method), (Method::Counter, Method::Trapezoid));
    assert!(near(a.trapezoid_j.unwrap(), 29_000.0) && near(a.counter_j.unwrap(), 30_000.0));
    assert_eq!((a.max_w, power.max_w), (290.0, Some(380.0)));
    assert!(near(power.sources[1].energy_j, 5_000.0));
    // Two readings, 40 s apart.
    assert_eq!(
        power.left_out[0].reasons,
        ["its readings cover 0.0% of the window, expected 90% or more"]
    );
}

#[test]
fn a_counter_that_stands_still_is_not_believed() {
    let nvml = notes(&steady("a", Some(300.0), Some(0.0)));
    let power = power(vec![(SourceKind::Nvml, nvml)], 100.0);
    assert!(near(power.energy_j.unwrap(), 30_000.0), "{power:?}");
    let source = &power.sources[0];
    assert_eq!(source.devices[0].method, Method::Trapezoid);
    assert_eq!(
        source.faults[0].what,
        "a: its energy counter says 0 J and its power 30000 J; the latter is used"
    );
}

#[test]
fn a_device_that_stops_takes_its_source_out() {
    let mut said = steady("a", Some(300.0), None);
    said.extend(
        steady("b", Some(300.0), None)
            .into_iter()
            .filter(|r| r.0 <= 80.0),
    );
    let power = power(vec![(SourceKind::Nvml, notes(&said))], 100.0);
    assert_eq!(power.energy_j, None);
    let reason = &power.left_out[0].reasons[0];
    assert!(
        reason.starts_with("b: its readings cover 80.0%"),
        "{reason}"
    );
}

#[test]
fn a_window_of_no_length_or_outside_has_no_energy() {
    for seconds in [0.0, -5.0] {
        let power = power(
            vec![(SourceKind::Nvml, notes(&steady("a", Some(1.0), Some(1.0))))],
            seconds,
        );
        assert_eq!((power.energy_j, power.left_out.len()), (None, 1));
        Power::from_json(power.to_json().as_bytes()).unwrap();
    }
}

/// The same, up to the last digit of numbers: serde_json reads them to within one.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        (a, b) => a == b,
    }
}

fn numbers_are_sound(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|n| n.is_finite() && n >= 0.0),
        Value::Array(items) => items.iter().all(numbers_are_sound),
        Value::Object(items) => items.values().all(numbers_are_sound),
        _ => true,
    }
}

fn example() -> Power {
    let mut broken = notes(&[(3.0, "\u{1b}[2J", Some(f64::NAN), None)]);
    broken.fault(1.0, "found \u{202e} and \"x\"".into());
    power(
        vec![
            (SourceKind::Command, notes(&steady("", Some(700.0), None))),
            (SourceKind::Prometheus, broken),
            (
                SourceKind::Nvml,
                notes(&steady("a", Some(290.0), Some(300.0))),
            ),
            (
                SourceKind::Rapl,
                Notes {
                    absent: Some("none".into()),
                    ..Notes::default()
                },
            ),
        ],
        100.0,
    )
}

#[test]
fn a_file_of_ours_is_read_and_one_that_cannot_be_is_refused_with_its_name() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join(crate::POWER);
    let good = example();
    std::fs::write(&path, good.to_json()).unwrap();
    assert!(alike(
        &serde_json::to_value(Power::read(&path).unwrap()).unwrap(),
        &serde_json::to_value(&good).unwrap()
    ));
    let change = |pointer: &str, to: Value| {
        let mut value = serde_json::to_value(&good).unwrap();
        *value.pointer_mut(pointer).unwrap() = to;
        value.to_string()
    };
    for (text, found) in [
        (String::new(), "no such JSON"),
        ("{}".into(), "no such JSON"),
        ("[".repeat(100_000), "no such JSON"),
        ("\u{1b}[2J".into(), "no such JSON"),
        (change("/version", 2.into()), "version 2"),
        (change("/energy_j", (-1.0).into()), "energy_j -1"),
        (good.to_json().replacen("700.0", "1e999", 1), "no such JSON"),
        (change("/end_unix_ms", i64::MAX.into()), "another length"),
        (change("/begin_unix_ms", i64::MIN.into()), "another length"),
        (change("/seconds", 7.into()), "another length"),
        (
            change("/sources/0/devices/0/covered", (-0.5).into()),
            "covered -0.5",
        ),
        (
            change("/sources/0/kind", "\u{1b}[2J".into()),
            "no such JSON",
        ),
        (
            change("/left_out/0/reasons", vec!["x"; 5000].into()),
            "5000 reasons",
        ),
        (" ".repeat(9 << 20), "more than 8388608 bytes"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Power::read(&path).unwrap_err().to_string();
        assert!(
            error.contains(found) && error.contains("power.json: "),
            "{found}: {error}"
        );
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
    let error = Power::read(tmp.path()).unwrap_err().to_string();
    assert!(error.contains("a directory"), "{error}");
}

proptest! {
    /// What stands before a value is replaced with what turns values into others, or with anything.
    #[test]
    fn a_file_with_damage_is_refused_or_sound(
        at in any::<prop::sample::Index>(),
        with in prop_oneof![
            prop::sample::select(vec!["-", "-1", "1e308", "1e999", "null,", "\"", "[", "{"]).prop_map(|text| text.as_bytes().to_vec()),
            any::<Vec<u8>>(),
        ],
        skip in 0_usize..3,
    ) {
        let mut bytes = example().to_json().into_bytes();
        let values: Vec<_> = (2..bytes.len()).filter(|at| bytes[..*at].ends_with(b": ")).collect();
        let at = values[at.index(values.len())];
        bytes.splice(at..at + skip, with);
        if let Ok(power) = Power::from_json(&bytes) {
            let value = serde_json::to_value(&power).unwrap();
            prop_assert!(numbers_are_sound(&value), "{value}");
        }
    }

    #[test]
    fn whatever_is_measured_is_read_back(
        said in prop::collection::vec((0.0..5.0, "[abc]", prop::option::of(any::<f64>()), prop::option::of(any::<f64>())), 0..60),
        seconds in 0.1..100.0,
        tokens in any::<u64>(),
    ) {
        let mut moment = 0.0;
        let said: Vec<_> = said.iter().map(|(step, id, p, e)| { moment += step; (moment, id.as_str(), *p, *e) }).collect();
        let mut power = power(vec![(SourceKind::Nvml, notes(&said))], seconds);
        power.tokens = Some(tokens);
        let back = Power::from_json(power.to_json().as_bytes()).map_err(TestCaseError::fail)?;
        let (a, b) = (serde_json::to_value(&power).unwrap(), serde_json::to_value(&back).unwrap());
        prop_assert!(alike(&a, &b), "{a}\n{b}");
    }
}
