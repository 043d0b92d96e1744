//! The steady state of made-up runs, beside what MLCommons' detector finds (`fixtures/README.md`).

use std::fs::File;
use std::io::Read;

use flate2::read::GzDecoder;
use ossmark_endpoints::{Sample, steady_state};
use serde_json::Value;

use crate::common::fixture;

/// Of one case: passes of some samples, issued evenly.
fn samples(case: &Value) -> (Vec<Sample>, usize) {
    let pass_s = case["pass_s"].as_f64().unwrap();
    let lists = |name: &str| -> Vec<Vec<f64>> {
        let passes = case[name].as_array().unwrap().iter();
        let one = |pass: &Value| {
            pass.as_array()
                .unwrap()
                .iter()
                .map(|v| v.as_f64().unwrap())
                .collect()
        };
        passes.map(one).collect()
    };
    let (tpot, latency) = (lists("tpot"), lists("lat"));
    let rows = tpot[0].len();
    let mut all = Vec::new();
    for (pass, (tpot, latency)) in tpot.iter().zip(&latency).enumerate() {
        for (at, (tpot, latency)) in tpot.iter().zip(latency).enumerate() {
            let issued = (pass as f64 + at as f64 / rows as f64) * pass_s * 1e9;
            all.push(Sample {
                issued_ns: issued.round_ties_even() as i64,
                ttft_ns: Some(1),
                tpot_ns: Some(*tpot),
                rest_tokens: 10,
                latency_ns: Some(*latency as i64),
            });
        }
    }
    (all, rows)
}

#[test]
fn windows_are_those_of_the_detector() {
    let mut text = String::new();
    let file = std::env::var_os("OSSMARK_STEADY_STATES")
        .map_or_else(|| fixture("steady_state.json.gz"), Into::into);
    GzDecoder::new(File::open(file).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= 80);
    for (at, case) in cases.iter().enumerate() {
        let (samples, rows) = samples(case);
        let found = steady_state(&samples, rows, 64);
        let expected = &case["expected"];
        let pair = |a: usize, b: usize| serde_json::json!([a, b]);
        let plateaus: Vec<Value> = found.plateaus.iter().map(|(a, b)| pair(*a, *b)).collect();
        assert_eq!(
            found.left_out,
            expected["left_out"].as_u64().unwrap() as usize,
            "{at}"
        );
        assert_eq!(Value::from(plateaus), expected["plateaus"], "{at}");
        let window = found
            .window
            .as_ref()
            .map(|w| pair(w.super_pass_start, w.super_pass_end));
        assert_eq!(window.unwrap_or_default(), expected["window"], "{at}");
        let close = |found: Option<f64>, expected: &Value| match (found, expected.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * b.abs(),
            (a, b) => a == b,
        };
        assert!(
            close(found.least_s, &expected["least_s"]),
            "{at}: {found:?}"
        );
        assert!(
            close(found.level_shift_percent, &expected["anomaly"]),
            "{at}: {found:?}"
        );
        let is_window = expected["found"].as_bool().unwrap();
        let verdict = match (is_window, expected["anomaly"].is_null()) {
            (true, true) => Some("STEADY STATE"),
            (true, false) => Some("anomaly"),
            (false, _) => None,
        };
        assert!(
            verdict.is_none_or(|verdict| verdict == found.verdict),
            "{at}: {found:?}"
        );
        assert_eq!(found.window_tps.is_some(), is_window, "{at}");
        for (name, state) in [
            ("tpot_p50", found.state.tpot_p50),
            ("tpot_p90", found.state.tpot_p90),
        ] {
            let expected = match expected["trends"][name].as_str().unwrap() {
                "up" => "Drifting Up",
                "down" => "Drifting Down",
                _ => "Plateau",
            };
            assert_eq!(state, expected, "{at} {name}");
        }
    }
}
