//! The texts of a tree: filled from the templates in `submission/`, the runs' plans and the description.

use ossmark_rules::{Scenario, rules};
use serde_json::{Map, Value, json};

use super::Description;
use crate::check::REHEARSAL;

/// documentation/runs/README.md.
pub(super) const RUNS: &str = include_str!("../../../../submission/runs.md");

/// What the machine that made the runs knew about itself.
pub(super) fn detected(plan: &Value) -> Map<String, Value> {
    let machine = &plan["ossmark"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let os = [text(&machine["os"]), text(&machine["kernel"])];
    let os: Vec<String> = os.into_iter().flatten().collect();
    let cpu = &machine["cpu"];
    let gpus = machine["gpus"].as_array().map_or(&[][..], Vec::as_slice);
    let gpu = gpus.first().unwrap_or(&Value::Null);
    let mut found = vec![
        ("number_of_nodes", Some("1".into())),
        ("system_type", Some("datacenter".into())),
        ("host_processor_model_name", text(&cpu["model"])),
        (
            "host_processors_per_node",
            cpu["packages"].as_u64().map(|n| n.to_string()),
        ),
        (
            "host_processor_core_count",
            cpu["cores"].as_u64().map(|n| n.to_string()),
        ),
        (
            "host_memory_capacity",
            machine["memory_bytes"]
                .as_u64()
                .map(|bytes| format!("{} GiB", bytes >> 30)),
        ),
        ("operating_system", (!os.is_empty()).then(|| os.join(", "))),
        (
            "framework",
            text(&machine["version"]).map(|version| format!("ossmark {version}")),
        ),
        ("accelerator_model_name", text(&gpu["name"])),
        (
            "accelerator_memory_capacity",
            gpu["memory_mib"].as_u64().map(|mib| format!("{mib} MiB")),
        ),
        (
            "other_software_stack",
            text(&gpu["driver"]).map(|driver| format!("NVIDIA driver {driver}")),
        ),
    ];
    // An engine runs on one GPU; a machine may have more than belong to the system.
    if let (false, Some(engines)) = (gpus.is_empty(), plan["model"]["engines"].as_u64()) {
        found.push(("accelerators_per_node", Some(engines.to_string())));
    }
    let found = found
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), json!(value?))));
    found.collect()
}

/// The settings that the performance run was made with, as LoadGen reads them. An option of the command line that
/// overrode the file is in here, so that the file repeats the run.
pub(super) fn user_conf(scenario: Scenario, plan: &Value) -> String {
    let rules = rules().scenario(scenario);
    let prefix = format!(
        "{}.{}",
        rules.model_name.value, rules.loadgen_scenario.value
    );
    let asked = &plan["requested_settings"];
    let mut text = String::from(
        "# Written by `ossmark submission build` from the settings of the performance run.\n",
    );
    for (key, value) in [
        ("target_qps", &asked["target_qps"]),
        ("min_duration", &asked["min_duration_ms"]),
        ("min_query_count", &asked["min_query_count"]),
    ] {
        // LoadGen's own default is left out.
        if value.is_number() && !(key == "min_query_count" && scenario != Scenario::Offline) {
            text += &format!("{prefix}.{key} = {value}\n");
        }
    }
    text
}

pub(super) fn readme(
    d: &Description,
    folder: &str,
    performance: &Value,
    accuracy: &Value,
    attempts: &[String],
    rehearsal: bool,
) -> String {
    let command = |plan: &Value| {
        let words = plan["command"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        super::public::command(words).join(" ")
    };
    let stamp = if rehearsal {
        format!("**{REHEARSAL}: built from test runs, not to be submitted.**\n\n")
    } else {
        String::new()
    };
    include_str!("../../../../submission/README.result.md")
        .replace("{{stamp}}", &stamp)
        .replace("{{scenario}}", folder)
        .replace("{{system}}", &d.system.name)
        .replace(
            "{{version}}",
            performance["ossmark"]["version"]
                .as_str()
                .unwrap_or("unknown"),
        )
        .replace(
            "{{revision}}",
            performance["ossmark"]["git_revision"]
                .as_str()
                .unwrap_or("unknown"),
        )
        .replace("{{performance}}", &command(performance))
        .replace("{{accuracy}}", &command(accuracy))
        .replace("{{compliance}}", &attempts.join("\n"))
        .replace("{{notes}}", d.documents.readme.trim())
}

/// Names and texts under documentation/, or what is missing for one.
pub(super) fn documents(d: &Description) -> [(&'static str, Result<String, String>); 2] {
    let fill = |template: &str, key: &str, text: &str| {
        if text.trim().is_empty() {
            return Err(format!(
                "[documents] {key}: empty or missing, expected a text"
            ));
        }
        Ok(template
            .replace("{{submitter}}", &d.submitter)
            .replace("{{system}}", &d.system.name)
            .replace("{{text}}", text.trim()))
    };
    [
        (
            "calibration.md",
            fill(
                include_str!("../../../../submission/calibration.md"),
                "calibration",
                &d.documents.calibration,
            ),
        ),
        (
            "bandwidth.md",
            fill(
                include_str!("../../../../submission/bandwidth.md"),
                "bandwidth",
                &d.documents.bandwidth,
            ),
        ),
    ]
}
