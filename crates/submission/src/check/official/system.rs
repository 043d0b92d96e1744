//! The system description.

use serde_json::Value;

use super::super::system::System;
use crate::finding::Findings;
use crate::python;

/// In closed and network an unknown system type ends the official checker before any check; open only reports it.
pub(in super::super) fn system_type_is_known(
    system: &System<'_>,
    has_benchmark: bool,
    findings: &mut Findings,
) -> bool {
    let Some(json) = &system.json else {
        return false;
    };
    let known = &system.rules.submission.system_types.value;
    let found = json.get("system_type").unwrap_or(&Value::Null);
    let is_known = found.as_str().is_some_and(|t| known.iter().any(|k| k == t));
    if !is_known && has_benchmark {
        let message = format!(
            "found system_type {}, expected {}",
            python::shown(found),
            known.join(" or ")
        );
        findings.invalidating(
            &system.path,
            "system.type-unknown",
            &system.json_path(),
            message,
        );
    }
    is_known
}

/// The checks of a system that has at least one scenario.
pub(in super::super) fn system(system: &System<'_>, findings: &mut Findings) {
    let Some(json) = &system.json else {
        return;
    };
    let rules = &system.rules.submission;
    let path = system.json_path();
    let mut report = |rule: &'static str, message: String| {
        findings.invalidating(&system.path, rule, &path, message)
    };
    let field = |key: &str| json.get(key).unwrap_or(&Value::Null);
    let lower = |key: &str| field(key).as_str().map(str::to_lowercase);

    if !lower("status").is_some_and(|s| rules.statuses.value.contains(&s)) {
        report(
            "system.status",
            format!(
                "found status {}, expected {}",
                python::shown(field("status")),
                rules.statuses.value.join(", ")
            ),
        );
    }
    if system.is_open()
        && !field("system_type")
            .as_str()
            .is_some_and(|t| rules.system_types.value.iter().any(|k| k == t))
    {
        report(
            "system.type",
            format!(
                "found system_type {}, expected {}",
                python::shown(field("system_type")),
                rules.system_types.value.join(" or ")
            ),
        );
    }
    match is_network(field("is_network")) {
        None => report(
            "system.network",
            format!(
                "found is_network {}, expected a string, or no such field",
                python::shown(field("is_network"))
            ),
        ),
        Some(found) => {
            if !system.is_open() && found != (system.division == "network") {
                report(
                    "system.network",
                    format!("found is_network {found} in division {}", system.division),
                );
            }
        }
    }
    let network: &[String] = if python::truthy(field("is_network")) {
        &rules.network_fields.value
    } else {
        &[]
    };
    for key in rules.system_fields.value.iter().chain(network) {
        let may_be_empty =
            rules.system_fields_that_may_be_empty.value.contains(key) || network.contains(key);
        match json.get(key) {
            None => report("system.field-missing", format!("found no field {key}")),
            Some(value) if !may_be_empty && !python::truthy(value) => {
                report(
                    "system.field-empty",
                    format!(
                        "found {key} {}, expected a meaningful value",
                        python::shown(value)
                    ),
                );
            }
            Some(_) => {}
        }
    }
    for (key, rule, wanted) in [
        ("submitter", "system.submitter", system.submitter),
        ("division", "system.division", system.division),
    ] {
        if lower(key).as_deref() != Some(&wanted.to_lowercase()) {
            report(
                rule,
                format!(
                    "found {key} {}, expected {wanted:?}, the name of the directory",
                    python::shown(field(key))
                ),
            );
        }
    }
}

/// None for a value that is no text, which the official checker cannot read.
pub(in super::super) fn is_network(value: &Value) -> Option<bool> {
    match value {
        Value::Null => Some(false),
        Value::String(text) => Some(text.to_lowercase() == "true"),
        _ => None,
    }
}
