//! The table of valid results, column for column as the official checker writes it, and what keeps it from writing a row.

use serde_json::{Map, Value};

use super::official::Measured;
use super::run::{PERFORMANCE_RUN, Run};
use crate::finding::Findings;
use crate::python;

const COLUMNS: [&str; 31] = [
    "Organization",
    "Availability",
    "Division",
    "SystemType",
    "SystemName",
    "Platform",
    "Model",
    "MlperfModel",
    "Scenario",
    "Result",
    "Accuracy",
    "number_of_nodes",
    "host_processor_model_name",
    "host_processors_per_node",
    "host_processor_core_count",
    "accelerator_model_name",
    "accelerators_per_node",
    "total_accelerators",
    "Location",
    "framework",
    "operating_system",
    "notes",
    "compliance",
    "errors",
    "version",
    "inferred",
    "has_power",
    "Units",
    "weight_data_types",
    "design_power_watts",
    "PrivateID",
];

/// The whole file.
pub(super) fn render<'a>(rows: impl Iterator<Item = &'a [String]>) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    for row in rows {
        let quoted: Vec<String> = row.iter().map(|field| format!("\"{field}\"")).collect();
        text += &(quoted.join(",") + "\n");
    }
    text
}

/// The row of a result that nothing official stands against. Some values stop the official checker only here.
pub(super) fn row(
    run: &Run<'_>,
    measured: &Measured,
    findings: &mut Findings,
) -> Option<Vec<String>> {
    let json = run.system.json.as_ref()?;
    let log = run.performance.as_ref()?;
    let (nodes, accelerators) = (
        count(run, json, "number_of_nodes", findings),
        count(run, json, "accelerators_per_node", findings),
    );
    let notes = notes(json);
    if notes.is_none() {
        findings.invalidating(
            &run.system.path,
            "system.notes",
            &run.system.json_path(),
            "found hw_notes or sw_notes that are no text",
        );
    }
    if ![
        "Offline",
        "Server",
        "Interactive",
        "SingleStream",
        "MultiStream",
    ]
    .iter()
    .any(|s| run.folder == *s || run.folder == s.to_lowercase())
    {
        findings.invalidating(
            &run.path,
            "scenario.name",
            &run.path,
            format!(
                "found directory {}, expected Offline, Server or Interactive",
                run.folder
            ),
        );
        return None;
    }
    let field = |key: &str| python::text(json.get(key).unwrap_or(&Value::Null));
    let logged = log
        .value("effective_scenario")
        .ok()
        .and_then(Value::as_str)
        .unwrap_or_default();
    let inferred =
        run.folder != logged && (logged, run.folder.as_str()) != ("server", "interactive");
    let has_power = run.dir.join("performance/power").exists();
    let round = run.system.round;
    let weights = run
        .measurements
        .as_ref()
        .and_then(|m| m.get("weight_data_types"))
        .map(python::text);
    Some(vec![
        run.system.submitter.into(),
        field("status"),
        run.system.division.into(),
        field("system_type"),
        field("system_name"),
        run.system.name.clone(),
        run.benchmark.into(),
        run.system.rules.submission.benchmark.value.clone(),
        run.folder.clone(),
        python::repr(measured.metric?),
        measured
            .score
            .as_deref()
            .map(|score| format!("exact_match: {score}"))
            .unwrap_or_default(),
        field("number_of_nodes"),
        field("host_processor_model_name"),
        field("host_processors_per_node"),
        field("host_processor_core_count"),
        field("accelerator_model_name"),
        field("accelerators_per_node"),
        nodes?.saturating_mul(accelerators?).to_string(),
        format!("{}/{PERFORMANCE_RUN}", run.path),
        field("framework"),
        field("operating_system"),
        notes?,
        run.system.division.into(),
        "0".into(),
        run.system.round_name.into(),
        u8::from(inferred).to_string(),
        if has_power { "True" } else { "False" }.into(),
        run.system.rules.submission.unit.value.clone(),
        weights.unwrap_or_default(),
        if round.nameplate_power.value {
            "None"
        } else {
            ""
        }
        .into(),
        String::new(),
    ])
}

fn count(
    run: &Run<'_>,
    json: &Map<String, Value>,
    key: &str,
    findings: &mut Findings,
) -> Option<i64> {
    // An empty one has its own finding.
    let value = json.get(key).filter(|v| python::truthy(v))?;
    let count = python::int(value);
    if count.is_none() {
        findings.invalidating(
            &run.system.path,
            "system.count",
            &run.system.json_path(),
            format!(
                "found {key} {}, expected a whole number",
                python::shown(value)
            ),
        );
    }
    count
}

/// hw_notes and sw_notes as one text; None where they cannot be joined.
fn notes(json: &Map<String, Value>) -> Option<String> {
    let hardware = json.get("hw_notes").cloned().unwrap_or_default();
    let software = json.get("sw_notes").filter(|v| python::truthy(v));
    let Some(software) = software else {
        return Some(python::text(&hardware));
    };
    if !python::truthy(&hardware) {
        return software.as_str().map(str::to_owned);
    }
    Some(format!("{}. {}", hardware.as_str()?, software.as_str()?))
}
