//! user.conf against the performance log: reviewers repeat a run with the one and believe the other.

use std::collections::HashMap;

use ossmark_logs::config::{self, Line};
use ossmark_logs::detail_log::DetailLog;

use super::super::run::Run;
use super::logs::found;
use super::scenario_of;
use crate::finding::Findings;
use crate::python;
use crate::tree::{TEXT_LIMIT, Text, read_text};

/// Keys of user.conf, where LoadGen logs them, and the factor between the two units.
const LOGGED: [(&str, &[&str], f64); 10] = [
    (
        "target_qps",
        &[
            "requested_server_target_qps",
            "requested_offline_expected_qps",
        ],
        1.0,
    ),
    ("min_duration", &["requested_min_duration_ms"], 1.0),
    ("max_duration", &["requested_max_duration_ms"], 1.0),
    ("min_query_count", &["requested_min_query_count"], 1.0),
    ("max_query_count", &["requested_max_query_count"], 1.0),
    (
        "performance_sample_count_override",
        &["requested_performance_sample_count_override"],
        1.0,
    ),
    (
        "sample_concatenate_permutation",
        &["requested_sample_concatenate_permutation"],
        1.0,
    ),
    (
        "use_token_latencies",
        &["requested_use_token_latencies"],
        1.0,
    ),
    ("ttft_latency", &["requested_server_ttft_latency"], 1e6),
    ("tpot_latency", &["requested_server_tpot_latency"], 1e6),
];

pub(super) fn check(run: &Run<'_>, performance: Option<&DetailLog>, findings: &mut Findings) {
    let file = "user.conf";
    let Text::Read(text) = read_text(&run.dir.join(file), TEXT_LIMIT) else {
        return;
    };
    let mut settings: HashMap<&[u8], &str> = HashMap::new();
    let (mut lines_found, mut dropped) = (0, false);
    for (n, line) in text.as_bytes().split(|b| *b == b'\n').enumerate() {
        let why = match Line::read(line) {
            Line::Blank => continue,
            // A word that begins with # is a comment to its writer, and a name that nobody looks up to LoadGen.
            Line::Set {
                name: [b'#', ..], ..
            }
            | Line::NoValue {
                name: [b'#', ..], ..
            } => continue,
            Line::Set { name, values } => {
                if let Some(&value) = values.last() {
                    settings.insert(name, value);
                }
                match (values.len(), name.split(|b| *b == b'.').count() - 1) {
                    (1, 2..) => continue,
                    (1, _) => "expected a key \"model.scenario.key\"; LoadGen ignores the line",
                    _ => "expected one value; LoadGen takes the last",
                }
            }
            Line::NoValue { .. } => {
                "expected \"model.scenario.key = value\"; LoadGen ignores the line"
            }
            Line::Drops { .. } => {
                dropped = true;
                "expected \"model.scenario.key = value\"; LoadGen drops the whole file for it"
            }
        };
        lines_found += 1;
        if lines_found <= 5 {
            let line = String::from_utf8_lossy(line);
            let message = format!("line {}: found {:.80?}, {why}", n + 1, line.trim());
            run.report(findings, "user-conf.line", file, message);
        }
    }
    if dropped {
        return;
    }
    let (Some(log), Some(scenario)) = (performance, scenario_of(&run.folder)) else {
        return;
    };
    let rules = run.system.rules.scenario(scenario);
    let (model, scenario) = (
        rules.model_name.value.as_str(),
        rules.loadgen_scenario.value.as_str(),
    );
    for (key, logged, factor) in LOGGED {
        // LoadGen's order within one file.
        let places = [(model, scenario), ("*", scenario), (model, "*"), ("*", "*")];
        let Some(value) = places
            .iter()
            .find_map(|(m, s)| settings.get(format!("{m}.{s}.{key}").as_bytes()))
        else {
            continue;
        };
        let Some(name) = logged.iter().find(|name| log.last(name).is_some()) else {
            continue;
        };
        // As LoadGen reads it: `1e6` is 1 where a whole number is wanted.
        let asked = match key {
            "target_qps" => config::real(value),
            _ => Some(config::whole(value) as f64),
        };
        let Some((asked, ran)) = asked.zip(log.last(name).and_then(python::number)) else {
            continue;
        };
        let asked = asked * factor;
        // LoadGen prints six digits.
        if (asked - ran).abs() > 1e-5 * asked.abs().max(ran.abs()) {
            run.report(
                findings,
                "user-conf.differs",
                file,
                format!(
                    "found {key} = {value}, the performance log has {name} {}",
                    found(log, name)
                ),
            );
        }
    }
}
